// The page's texts about a submitted notebook, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const VIEWER_TEXTS = {
  show_all_lines: ["Show all {0} lines", "全 {0} 行を表示"],
  show_all_text: ["Show all of it ({0} characters)", "すべて表示（{0} 文字）"],
  show_all_rows: ["Show all {0} rows", "全 {0} 行を表示"],
  table_cut: [
    "Only the first {0} rows and {1} columns are shown.",
    "先頭の {0} 行 {1} 列だけを表示しています。",
  ],
  picture_named: ["Picture {0}", "画像 {0}"],
  picture_missing: ["The picture {0} isn't in the notebook.", "画像 {0} はノートブックにありません。"],
  picture_broken: ["A picture that can't be shown.", "表示できない画像です。"],
  output_unknown: [
    "An output that can't be shown here ({0}).",
    "ここでは表示できない出力です（{0}）。",
  ],
  text_cut: ["Only the first {0} characters were read.", "先頭の {0} 文字だけを読み込みました。"],
  nth_cell: ["Cell {0} of the file", "ファイルの {0} 番目のセル"],
  irregular: [
    "{0} irregularity in this file|{0} irregularities in this file",
    "このファイルの形式に通常と異なる点が {0} 件あります",
  ],
  irregular_hint: [
    "The notebook was accepted as it is. These differences from the format don't mean that the work is wrong.",
    "ノートブックはそのまま受理されています。形式の違いであり、内容の誤りを示すものではありません。",
  ],
};
