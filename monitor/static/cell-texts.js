// The page's texts about cells and their places, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const CELL_TEXTS = {
  cell_titled: ["“{0}”", "「{0}」"],
  cell_below: ["{0} ({1})", "{0}（{1}）"],
  more_cells: [
    "and {0} more cell that few have reached|and {0} more cells that few have reached",
    "ほかに、実行した人の少ないセル {0} 個",
  ],
  placed_cell: [
    "Placed by its index: this notebook has new cell IDs each time it is opened",
    "位置で対応付けたセル（このノートブックは開くたびにセル ID が変わります）",
  ],
  added_cells: ["Cells that students added before {0}", "{0} の前に学生が追加したセル"],
  unplaced: [
    "Stored without a cell, notebook or session: {0}",
    "セル、ノートブック、セッションに対応付けずに保存：{0}",
  ],
  unplaced_hint: [
    "These students named more cells, notebooks or sessions than anybody needs. Their events count in this class, but not in a cell or session.",
    "通常の範囲を超える数のセル、ノートブック、セッションの名前が送られました。このクラスの件数には含まれますが、セルやセッションごとの集計には含まれません。",
  ],
  reason_too_many_cells: ["More than 20,000 cells of one student", "1 人で 20,000 個を超えるセル"],
  reason_too_many_notebooks: [
    "More than 1,000 notebooks of one student",
    "1 人で 1,000 個を超えるノートブック",
  ],
  reason_too_many_sessions: ["Too many new sessions in a day", "1 日の新しいセッションが多すぎる"],
};
