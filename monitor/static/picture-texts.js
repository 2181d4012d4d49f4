// The page's texts about what a run showed, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const PICTURE_TEXTS = {
  output_cut: ["The output was longer; this is its beginning.", "出力が長いため、先頭だけを表示しています。"],
  pictures: ["{0} picture|{0} pictures", "画像 {0} 枚"],
  picture_left_out: [
    "A picture ({0}, {1} KB) was too large to be kept.",
    "画像（{0}、{1} KB）は大きすぎるため、保存されていません。",
  ],
};
