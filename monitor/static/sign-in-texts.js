// The page's texts about signing in at a provider, in English and Japanese (see i18n.js).

/** @satisfies {Record<string, [string, string]>} */
export const SIGN_IN_TEXTS = {
  sign_in: ["Sign in", "ログイン"],
  sign_in_oidc: [
    "Sign in with your school account.",
    "学校のアカウントでログインしてください。",
  ],
  sign_in_jupyterhub: [
    "Sign in with your JupyterHub account.",
    "JupyterHub のアカウントでログインしてください。",
  ],
  ended: ["Login ended", "ログインが切れました"],
  login_ended: ["Your login has ended", "ログインの有効期限が切れました"],
  login_ended_hint: [
    "Sign in again, and you come back to what you see now.",
    "もう一度ログインすると、今の画面に戻ります。",
  ],
  login_expired: [
    "The sign-in took too long, or was begun in another window. Please try again.",
    "時間がかかりすぎたか、別のウィンドウで開始されたため、ログインできませんでした。もう一度お試しください。",
  ],
  login_refused: [
    "The sign-in was not accepted. Try again, or ask your administrator.",
    "ログインできませんでした。もう一度試すか、管理者に問い合わせてください。",
  ],
  "login_no-role": [
    "Your account has no role here. Ask your administrator for one.",
    "このアカウントには利用権限がありません。管理者に問い合わせてください。",
  ],
  login_unavailable: [
    "The sign-in service doesn't answer. Try again in a minute.",
    "ログインサービスが応答していません。しばらくしてからもう一度お試しください。",
  ],
  sign_out_failed: [
    "You are still signed in: signing out did not work. Try again in a minute.",
    "ログアウトできませんでした。まだログインしたままです。しばらくしてからもう一度お試しください。",
  ],
  signed_in_as: ["Signed in as {0}", "{0}（ログイン中）"],
};
