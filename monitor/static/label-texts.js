// Names that only screen readers say, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const LABEL_TEXTS = {
  source_code: ["Code", "コード"],
  command: ["Command", "コマンド"],
};
