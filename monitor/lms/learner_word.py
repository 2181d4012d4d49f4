"""What a class calls its learners. English says student in any case."""

from collections.abc import Mapping
from typing import Literal

LearnerWord = Literal["student", "pupil"]

USUAL: LearnerWord = "student"
IN_JAPANESE: Mapping[LearnerWord, str] = {"student": "学生", "pupil": "生徒"}


def in_japanese(text: str, word: LearnerWord) -> str:
    """A Japanese text of ours that says 学生, with the class's word for them."""
    return text.replace(IN_JAPANESE[USUAL], IN_JAPANESE[word])
