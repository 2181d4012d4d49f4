// What is wrong with a list, in Japanese: the API says it in English, each mistake in one form of words.

const SAVE = "「CSV UTF-8」で保存し直すか、「文字コード」で選んでください。";
const LINE = String.raw`^Line (\d+): `;

/**
 * The form of each message, and what it says in Japanese, with its parts in the order of the English.
 *
 * @type {[RegExp, string][]}
 */
const MISTAKES = [
  [of`number: ['"](.*)['"] is none: `, "{0} 行目：番号「{1}」は使えません。1～9999 の数字にするか、空欄にしてください。"],
  [
    of`seat: ['"](.*)['"] is none: Excel has made a date of it`,
    "{0} 行目：座席「{1}」は Excel が日付に変えたものです。列の書式を「文字列」にして、A3 や 1-3 のように入力し直してください。",
  ],
  [
    of`seat: ['"](.*)['"] is none: `,
    "{0} 行目：「{1}」は座席として読み取れません。A3（列の英字と番号）か 1-3 のように入力してください。",
  ],
  [of`the id has a line break or a tab`, "{0} 行目：学籍番号の途中に改行かタブがあります。削除してください。"],
  [
    of`['"](.*)['"] is not the id any more `,
    "{0} 行目：「{1}」は表計算ソフトが変えたもので、元の学籍番号ではありません。列の書式を「文字列」にして入力し直すか、=\"…\" の形で書いてください。",
  ],
  [of`there is a control character \((.+)\)`, "{0} 行目：制御文字（{1}）があります。削除してください。"],
  [of`there is U\+FFFD`, "{0} 行目：失われた文字（U+FFFD）があります。ファイルを作り直してください。"],
  [of`['"](.*)['"] is an error of the spreadsheet`, "{0} 行目：「{1}」は表計算ソフトのエラーです。セルを直してください。"],
  [of`['"](.*)['"] is a formula`, "{0} 行目：「{1}」は数式です。値に置き換えてください。"],
  [of`a cell has (\d+) characters, at most (\d+)`, "{0} 行目：{1} 文字のセルがあります。{2} 文字までにしてください。"],
  [of`the file is in UTF-32`, `{0} 行目：文字コードが UTF-32 です。${SAVE}`],
  [of`the text is damaged, it is not (.+): save`, `{0} 行目：文字が壊れていて、{1} として読めません。${SAVE}`],
  [of`there is a NUL character`, `{0} 行目：NUL 文字がありますが、UTF-16 のファイルではありません。${SAVE}`],
  [of`the text can be read as (.+): save`, `{0} 行目：文字コードを特定できません（{1}）。${SAVE}`],
  [of`the text is not UTF-8, and as (.+) it makes`, `{0} 行目：UTF-8 ではなく、{1} としても読めません。${SAVE}`],
  [of`the end is not possible in (.+): save`, `{0} 行目：{1} の文字が途中で切れています。${SAVE}`],
  [of`(.+) is not possible in (.+): save`, `{0} 行目：{2} では使えない値（{1}）があります。${SAVE}`],
  [of`the file is empty`, "ファイルが空です。「学籍番号」の列が必要です。"],
  [of`no students follow`, "{0} 行目：見出しの下に誰も書かれていません。1 行に 1 人ずつ書いてください。"],
  [of`there are more than (\d+) students`, "{0} 行目：{1} 人を超えています。ファイルを分けてください。"],
  [of`there is no id in the column (\d+)`, "{0} 行目：{1} 列目に学籍番号がありません。入力してください。"],
  [of`role: ['"](.*)['"] is none`, "{0} 行目：役割「{1}」は使えません。学生、助手、教員のどれかを書いてください。"],
  [
    of`(?:there are no students: )?no column has the ids`,
    "{0} 行目：学籍番号の列がありません。見出しを「学籍番号」か「メール」にしてください。",
  ],
  [of`two columns are called (.+): rename`, "{0} 行目：「{1}」という列が 2 つあります。名前を変えるか、削除してください。"],
  [of`the column (\d+) is empty`, "{0} 行目：{1} 列目は空なので、学籍番号の列にはできません。"],
  [of`there are more than (\d+) rows`, "{0} 行目：{1} 行を超えています。ファイルを分けてください。"],
  [of`the cells can't be told apart`, "{0} 行目：セルの区切りを読み取れません。引用符（\"）を確認してください。"],
  [of`there are more than (\d+) columns`, "{0} 行目：列が {1} を超えています。減らしてください。"],
  [
    of`a quoted cell goes on`,
    "{0} 行目：引用符（\"）で始まるセルが何行も続いています。閉じる引用符が抜けていないか確認してください。",
  ],
  [
    /^Lines (\d+) and (\d+) both have the id (.+): remove/,
    "{0} 行目と {1} 行目の学籍番号が同じです（{2}）。どちらかを削除するか、直してください。",
  ],
  [
    /^Lines (\d+) and (\d+) are both of the student (.+): remove/,
    "{0} 行目と {1} 行目は同じ人です（{2}）。どちらかを削除してください。",
  ],
  [
    /^Lines (\d+) and (\d+) both have the seat (.+): give/,
    "{0} 行目と {1} 行目の座席が同じです（{2}）。どちらかの座席を変えてください。",
  ],
  [
    of`(.+) can't have the seat (\S+), (.+) has it`,
    "{0} 行目：{1} さんの座席 {2} は {3} さんの席です。どちらかの座席を変えてください。",
  ],
  [
    /^(\d+) looks like several students \((.+)\)/,
    "{0} 行目：複数の人（{1}）に似ています。該当する人の学籍番号を書いてください。",
  ],
];

/**
 * A message about a line of a list in Japanese; as it is, where its form is not known.
 *
 * @param {string} message of the API
 */
export function mistakeInJapanese(message) {
  for (const [form, text] of MISTAKES) {
    const parts = form.exec(message)?.slice(1);
    if (parts) return text.replace(/\{(\d)\}/g, (_, place) => listed(parts[Number(place)]));
  }
  return message;
}

// Encodings of which it may be either.
/** @param {string} part */
function listed(part) {
  const isList = /^[a-z\d-]+((?: and as | or )[a-z\d-]+)+$/i.test(part);
  return isList ? part.replaceAll(/ and as | or /g, "・") : part;
}

/**
 * @param {TemplateStringsArray} form of the message after the number of its line
 */
function of({ raw }) {
  return new RegExp(LINE + raw.join(""), "s");
}
