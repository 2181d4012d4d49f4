// Texts about cells that run, in English and Japanese.

/** @satisfies {Record<string, [string, string]>} */
export const RUNNING_TEXTS = {
  running: ["Running for {0}", "実行中（{0}）"],
  running_silent: ["Running for {0}, no sign", "実行中（{0}）・応答なし"],
  running_since: ["Running since {0}", "{0} から実行中"],
  for_seconds: ["{0} s", "{0} 秒"],
  for_minutes: ["{0} min", "{0} 分"],
  for_hours: ["{0} h {1} min", "{0} 時間 {1} 分"],
};
