// The page's texts about copies of a notebook, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const NOTEBOOK_COPIES_TEXTS = {
  copies_count: [
    "{0} other notebook counts as this one|{0} other notebooks count as this one",
    "同じものとして扱うノートブック：{0} 件",
  ],
  copies_none: [
    "No other notebook counts as this one",
    "同じものとして扱うノートブックはありません",
  ],
  copies_likely: [
    "{0} more may be a copy|{0} more may be copies",
    "コピーの可能性があるもの：{0} 件",
  ],
  copies_rule: [
    "Copies are recognised by their name and their cells.",
    "コピーかどうかは、ファイル名とセルから判断しています。",
  ],
  copies_of_assignments: [
    "Copies are recognised only of notebooks that are assignments.",
    "コピーを自動で判断するのは、課題として出したノートブックだけです。",
  ],
  copy_cells: ["a copy: {1} of {0} cells are the same", "コピー（セル {0} 個中 {1} 個が共通）"],
  copy_name: ["a copy, by its name", "コピー（ファイル名から判断）"],
  copy_merged: ["merged by a teacher, {0}", "教員が同じものと判断（{0}）"],
  copy_paths: ["also seen as {0}", "別の表記：{0}"],
  copy_apart: ["kept apart by a teacher, {0}", "教員が別のものと判断（{0}）"],
  copy_same_cells: ["{1} of {0} cells are the same", "セル {0} 個中 {1} 個が共通"],
  copy_other_cells: ["no cells in common", "共通のセルなし"],
  copy_who: ["{0} and {1} more", "{0} さんほか {1} 人"],
  others: ["Other notebooks in use", "使われているほかのノートブック"],
  keep_apart: ["Keep apart", "別のものとして扱う"],
  keep_apart_what: ["Keep {0} apart", "{0} を別のものとして扱う"],
  merge_here: ["Count as this one", "同じものとして扱う"],
  merge_what: ["Count {0} as this one", "{0} を同じものとして扱う"],
  undo_what: ["Undo the decision on {0}", "{0} についての判断を元に戻す"],
};
