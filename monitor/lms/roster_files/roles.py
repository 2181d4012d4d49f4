"""The words of rosters for the roles of a class."""

from collections.abc import Mapping
from typing import Literal

_WORDS: Mapping[Literal["student", "assistant", "teacher"], str] = {
    "student": "student students learner 学生 生徒 受講者 受講生 履修者 学習者",
    "assistant": "assistant ta tutor 助手 ティーチングアシスタント アシスタント 補助者",
    "teacher": "teacher instructor lecturer professor 教員 教師 先生 講師 教授 担任",
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words.split()}


def role_of(text: str) -> Literal["student", "assistant", "teacher"] | None:
    """The role that a word names; None if it names none."""
    return _ROLES.get("".join(text.split()).casefold())
