"""The messages, in English and Japanese. They name no student, and hold no text of one."""

import re
from collections.abc import Mapping
from typing import Literal

from monitor.lms.learner_word import USUAL, LearnerWord, in_japanese
from monitor.notifications.sending import Message

Language = Literal["en", "ja"]

_MAX_NAME = 80  # characters of a class's or a key's name
_ERROR = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,60}(?=:|$)")
# Services for messages read these as links and as calls for everybody.
_PLAIN = str.maketrans({"<": "‹", ">": "›", "@": "＠", "`": "'"})

_TEXTS: Mapping[str, Mapping[Language, Message]] = {
    "help": {
        "en": Message(
            "{name}: students are waiting for help",
            "Waiting: {count}. The longest wait is {minutes} min; nobody has taken the call yet.",
        ),
        "ja": Message(
            "{name}：呼び出し中の学生がいます",
            "{count}人が待っています。最も長い人は{minutes}分待っており、まだ誰も対応していません。",
        ),
    },
    "class_error": {
        "en": Message(
            "{name}: many students have the same error",
            "{error}: {count} of {students} students have not got past it.",
        ),
        "ja": Message(
            "{name}：多くの学生が同じエラーで止まっています",
            "{error}：{students}人中{count}人がまだ解決できていません。",
        ),
    },
    "quota": {
        "en": Message(
            "{name}: a credential is close to its daily limit",
            "{credential} has used {percent} % of the {limit} events that it may send in a day."
            " Beyond the limit, events are refused until 00:00 UTC.",
        ),
        "ja": Message(
            "{name}：1日の受信上限に近づいています",
            "{credential}で受信したイベントが、1日の上限{limit}件の{percent}%に達しました。"
            "上限を超えると、UTCの0時まで受信できません。",
        ),
    },
    "ended_key": {
        "en": Message(
            "{name}: an ended key is still in use",
            "{count} events have been refused since 00:00 UTC because their key has ended. Somebody"
            " may not have the new address yet, or may be using the key without permission.",
        ),
        "ja": Message(
            "{name}：失効したキーが使われています",
            "本日（UTCの0時以降）、失効したキーで送られた{count}件のイベントを拒否しました。"
            "新しいアドレスが伝わっていないか、キーが不正に使われている可能性があります。",
        ),
    },
    "over_limit": {
        "en": Message(
            "{name}: events are refused because of a limit",
            "{count} events have been refused since 00:00 UTC because a sender was at a limit. If"
            " the class is not that busy, somebody may be misusing its key.",
        ),
        "ja": Message(
            "{name}：上限を超えたイベントを拒否しました",
            "本日（UTCの0時以降）、上限を超えて送られた{count}件のイベントを拒否しました。"
            "授業の規模に見合わない場合は、キーが悪用されている可能性があります。",
        ),
    },
    "too_many_students": {
        "en": Message(
            "{name}: too many new names",
            "{count} events have been refused since 00:00 UTC because more new students were named"
            " than may be in a day. Somebody may be making up names with the class's key.",
        ),
        "ja": Message(
            "{name}：新しい学生の数が上限を超えました",
            "本日（UTCの0時以降）、1日に登録できる人数を超えた学生名のイベントを{count}件拒否しました。"
            "クラスのキーで架空の名前が使われている可能性があります。",
        ),
    },
    "too_many_waiting": {
        "en": Message(
            "{name}: too many students are waiting to be let in",
            "{count} events have been refused since 00:00 UTC because too many names wait to be let"
            " in. Somebody may be making up names with the class's key.",
        ),
        "ja": Message(
            "{name}：参加の承認待ちが多すぎます",
            "本日（UTCの0時以降）、承認待ちの人数が上限を超えたため、{count}件のイベントを拒否しました。"
            "クラスのキーで架空の名前が使われている可能性があります。",
        ),
    },
    "shared_ids": {
        "en": Message(
            "{name}: two people may be using one ID",
            "Students whose ID has been used from two places at the same time since 00:00 UTC:"
            " {count}.",
        ),
        "ja": Message(
            "{name}：同じIDを2人が使っている可能性があります",
            "本日（UTCの0時以降）、同時に2か所から使われた学生のIDが{count}件あります。",
        ),
    },
    "health": {
        "en": Message("Cell Monitor: {component} is {state}", "{error}"),
        "ja": Message("Cell Monitor：{component}に異常があります（{state}）", "{error}"),
    },
    "recovered": {
        "en": Message("Cell Monitor: {component} works again", "It has been well for 5 minutes."),
        "ja": Message(
            "Cell Monitor：{component}は復旧しました", "5分間、異常は見つかっていません。"
        ),
    },
    "test": {
        "en": Message("A test of Cell Monitor", "Notifications of {name} will arrive here."),
        "ja": Message("Cell Monitor のテスト通知", "{name}の通知はここに届きます。"),
    },
}
# Parts of the server, as `/health` calls them, which is what they are called in English.
_COMPONENTS: Mapping[str, str] = {
    "access_report": "拒否の集計",
    "clustering": "過去データの整理",
    "consumers": "イベントの保存処理",
    "counting": "集計処理",
    "embedded_postgres": "内蔵の PostgreSQL",
    "event_loop": "サーバーの応答",
    "handlers": "カスタムハンドラー",
    "housekeeping": "定期メンテナンス",
    "influxdb": "InfluxDB",
    "ingest_keys": "キーの確認",
    "ledger": "保存の台帳",
    "notifications": "通知",
    "point_deletions": "InfluxDB からの削除",
    "postgres": "PostgreSQL",
    "queue": "受信キュー",
    "redis": "Redis",
    "refusal_log": "拒否の記録",
    "shares": "利用者ごとの制限",
    "spool": "一時保管（スプール）",
    "spool_drain": "一時保管からの書き戻し",
    "standby": "参照用の PostgreSQL",
    "token_revocations": "トークンの失効",
    "withdrawing": "取り消しの処理",
    "workers": "ワーカー",
}
_STATES: Mapping[str, str] = {"degraded": "一部に不具合", "down": "停止"}
_UNKNOWN_ERROR: Mapping[Language, str] = {"en": "An error", "ja": "エラー"}
_OPERATORS: Mapping[Language, str] = {"en": "this server", "ja": "このサーバー"}


def compose(
    text: str, language: Language, link: str, word: LearnerWord = USUAL, **values: object
) -> Message:
    """The message of this name with its values put in, and the link on a line of its own."""
    title, body = (in_japanese(part, word) for part in _TEXTS[text][language])
    plain = {name: _plain(value) for name, value in values.items()}
    body = body.format(**plain)
    return Message(title.format(**plain), f"{body}\n{link}" if link else body)


def error_name(error: str, language: Language) -> str:
    """The error's class, such as NameError: the rest of its text is of students."""
    match = _ERROR.match(error)
    return match[0] if match else _UNKNOWN_ERROR[language]


def component_name(name: str, language: Language) -> str:
    """What a part of the server is called."""
    return name if language == "en" else _COMPONENTS.get(name, name)


def state_name(state: str, language: Language) -> str:
    """What the state of a part that is not well is called."""
    return state if language == "en" else _STATES.get(state, state)


def test_message(language: Language, class_name: str, link: str) -> Message:
    """What "send a test" sends; without a class it is the operators'."""
    return compose("test", language, link, name=class_name or _OPERATORS[language])


def _plain(value: object) -> str:
    text = " ".join(str(value).translate(_PLAIN).split())
    return text if len(text) <= _MAX_NAME else text[: _MAX_NAME - 1] + "…"
