"""Decodes a roster's file, or refuses it: a name in the wrong encoding is worse than none."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress

from monitor.errors import InvalidBody
from monitor.lms.enrolment_report import RosterEncoding
from monitor.lms.roster_files.japanese import is_plausible, is_surely_japanese
from monitor.lms.roster_files.refused import refused

_SAVE_AS = 'save it as "CSV UTF-8", or name its encoding by `?encoding=`'
_BOMS: tuple[tuple[bytes, str, RosterEncoding], ...] = (
    (b"\xef\xbb\xbf", "utf-8", "utf-8"),
    (b"\xff\xfe", "utf-16-le", "utf-16"),
    (b"\xfe\xff", "utf-16-be", "utf-16"),
)
_UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_SHIFT = re.compile(rb"\x1b(\$@|\$B|\$\(D|\(B|\(J|\(I)")  # of ISO-2022-JP
_BEYOND_ASCII = re.compile("[^\0-\x40\x5b-\x60\x7b-\x7f]*[^\0-\x7f][^\0-\x40\x5b-\x60\x7b-\x7f]*")
_EUC_TOKEN = re.compile(rb"[\x00-\x7f]+|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}")


class _NotValid(Exception):
    """Bytes are not of an encoding. `position` is where, in bytes."""

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position


def decode(body: bytes, encoding: RosterEncoding | None = None) -> tuple[str, RosterEncoding]:
    """The text of a file, without a byte order mark, and its encoding.

    Raises InvalidBody where it is in none of the encodings, is damaged, or reads as well in one as
    in another; `encoding` decides then.
    """
    if body.startswith(_UTF_32):
        raise refused(1, f"the file is in UTF-32: {_SAVE_AS}")
    for mark, codec, name in _BOMS:
        if body.startswith(mark):
            return _strictly(body[len(mark) :], codec, name), name
    if encoding is not None:
        return _as_named(body, encoding), encoding
    if b"\0" in body:
        return _utf_16(body), "utf-16"
    if _SHIFT.search(body):
        return _as_named(body, "iso-2022-jp"), "iso-2022-jp"
    return _guessed(body)


def _as_named(body: bytes, encoding: RosterEncoding) -> str:
    if encoding == "utf-16":
        return _utf_16(body)
    try:
        return _DECODERS[encoding](body)
    except _NotValid as error:
        raise _damaged(body, error.position, encoding) from None


def _strictly(body: bytes, codec: str, name: RosterEncoding) -> str:
    try:
        return body.decode(codec)
    except UnicodeDecodeError as error:
        line = body[: error.start].decode(codec, "replace").count("\n") + 1
        raise refused(line, f"the text is damaged, it is not {name.upper()}: {_SAVE_AS}") from None


def _utf_16(body: bytes) -> str:
    """Without a byte order mark: as the byte order in which it has line ends and no controls."""
    plausible = []
    for codec in ("utf-16-le", "utf-16-be"):
        try:
            text = body.decode(codec)
        except UnicodeDecodeError:
            continue
        if not re.search("[\0-\x08\x0e-\x1f]", text) and re.search("[\t,;\r\n]", text):
            plausible.append(text)
    if len(plausible) == 1:
        return plausible[0]
    line = body[: max(0, body.find(b"\0"))].count(b"\n") + 1
    raise refused(line, f"there is a NUL character, and the file is not UTF-16: {_SAVE_AS}")


def _guessed(body: bytes) -> tuple[str, RosterEncoding]:
    texts: dict[RosterEncoding, str] = {}
    errors: dict[RosterEncoding, int] = {}
    candidates: tuple[RosterEncoding, ...] = ("utf-8", "cp932", "euc-jp")
    for encoding in candidates:
        try:
            texts[encoding] = _DECODERS[encoding](body)
        except _NotValid as error:
            errors[encoding] = error.position
    valid = errors.get("utf-8", 0)
    if re.search("[\u0800-\U0010ffff]", body[:valid].decode()):
        raise _damaged(body, valid, "utf-8")
    plausible = [name for name in texts if _is_plausible(name, texts)]
    if "cp932" in plausible and "euc-jp" in texts:  # half-width katakana, or kanji in EUC-JP
        plausible = ["euc-jp"] if is_surely_japanese(texts["euc-jp"]) else ["cp932", "euc-jp"]
    if len(plausible) == 1:
        return texts[plausible[0]], plausible[0]
    raise _unclear(body, texts, errors, plausible)


def _is_plausible(encoding: RosterEncoding, texts: Mapping[RosterEncoding, str]) -> bool:
    """Valid UTF-8 is meant as such, but a few names in EUC-JP can be valid, too."""
    text = texts.get("utf-8")
    if text is None:
        return is_plausible(texts[encoding])
    if text.isascii() or re.search("[\u0800-\U0010ffff]", text) or "euc-jp" not in texts:
        return encoding == "utf-8"
    if encoding == "utf-8":
        return _has_words(text)
    return encoding == "euc-jp" and is_plausible(texts["euc-jp"])


def _has_words(text: str) -> bool:
    """Whether letters beyond ASCII make words: with ASCII letters, or of one script and case."""
    for word in _BEYOND_ASCII.findall(text):
        if re.search("[A-Za-z]", word):
            continue
        scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
        if len(word) < 2 or len(scripts) > 1 or word[1:] != word[1:].lower():
            return False
    return True


def _unclear(
    body: bytes,
    texts: Mapping[RosterEncoding, str],
    errors: Mapping[RosterEncoding, int],
    plausible: list[RosterEncoding],
) -> InvalidBody:
    if not texts:  # the encoding that gets furthest
        name = max(errors, key=lambda each: errors[each])
        return _damaged(body, errors[name], name)
    first = next(number for number, line in enumerate(_lines(body), 1) if not line.isascii())
    if plausible:
        names = " and as ".join(plausible)
        return refused(first, f"the text can be read as {names}: {_SAVE_AS}")
    return refused(
        first, f"the text is not UTF-8, and as {' or '.join(texts)} it makes no sense: {_SAVE_AS}"
    )


def _damaged(body: bytes, position: int, encoding: RosterEncoding) -> InvalidBody:
    line = len(_lines(body[:position] + b"."))
    value = f"0x{body[position]:02X}" if position < len(body) else "the end"
    return refused(line, f"{value} is not possible in {encoding.upper()}: {_SAVE_AS}")


def _lines(body: bytes) -> list[bytes]:
    return re.split(rb"\r\n|\r|\n", body)


def _utf_8(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise _NotValid(error.start) from None


def _cp932(body: bytes) -> str:
    """Without the characters that Python has for bytes that Windows leaves undefined."""
    try:
        text = body.decode("cp932")
    except UnicodeDecodeError as error:
        raise _NotValid(error.start) from None
    if undefined := re.search("[\x80-\x9f\uf8f0-\uf8ff]", text):
        raise _NotValid(len(text[: undefined.start()].encode("cp932", "replace")))
    return text


def _euc_jp(body: bytes) -> str:
    """With the characters that Windows added, such as 髙 and ①."""
    with suppress(UnicodeDecodeError):
        return body.decode("euc_jp")
    parts: list[str] = []
    position = 0
    while position < len(body):
        token = _EUC_TOKEN.match(body, position)
        if token is None:
            raise _NotValid(position)
        parts.append(_euc_character(token[0], position))
        position = token.end()
    return "".join(parts)


def _euc_character(token: bytes, position: int) -> str:
    if token[0] < 0x80:
        return token.decode("ascii")
    if token[0] == 0x8E:
        return token[1:].decode("cp932")
    if token[0] == 0x8F:
        try:
            return token.decode("euc_jp")
        except UnicodeDecodeError:
            raise _NotValid(position) from None
    return _jis_pair(token[0] - 0x80, token[1] - 0x80, position)


def _jis_pair(row: int, cell: int, position: int) -> str:
    """The character of two bytes (0x21 to 0x7E) of JIS X 0208, by their place in Shift_JIS."""
    lead = (row + 1) // 2 + (0x70 if row < 0x5F else 0xB0)
    odd_trail = cell + (0x1F if cell < 0x60 else 0x20)
    trail = odd_trail if row % 2 else cell + 0x7E
    try:
        return bytes((lead, trail)).decode("cp932")
    except UnicodeDecodeError:
        raise _NotValid(position) from None


def _iso_2022_jp(body: bytes) -> str:
    parts: list[str] = []
    position, mode = 0, b"(B"
    for shift in [*_SHIFT.finditer(body), None]:
        end = shift.start() if shift else len(body)
        parts.append(_shifted(body[position:end], mode, position))
        if shift:
            position, mode = shift.end(), shift[1]
    return "".join(parts)


def _shifted(part: bytes, mode: bytes, position: int) -> str:
    """The text between two escape sequences; `position` is the part's in the file."""
    for index, value in enumerate(part):
        if value >= 0x80 or value in (0x1B, 0x0E, 0x0F):
            raise _NotValid(position + index)
    if mode in (b"(B", b"(J"):
        return part.decode("ascii")
    if mode == b"(I":
        return bytes(value + 0x80 if value > 0x20 else value for value in part).decode("cp932")
    return "".join(_pairs(part, mode, position))


def _pairs(part: bytes, mode: bytes, position: int) -> list[str]:
    """Two bytes make a character; a line end may stand among them, and begins with ASCII."""
    characters: list[str] = []
    index = 0
    while index < len(part):
        if part[index] <= 0x20:
            characters.append(chr(part[index]))
            index += 1
            continue
        pair = part[index : index + 2]
        if len(pair) < 2 or not all(0x21 <= value <= 0x7E for value in pair):
            raise _NotValid(position + index)
        if mode == b"$(D":
            supplement = b"\x8f" + bytes(value + 0x80 for value in pair)
            characters.append(_euc_character(supplement, position + index))
        else:
            characters.append(_jis_pair(pair[0], pair[1], position + index))
        index += 2
    return characters


_DECODERS: Mapping[str, Callable[[bytes], str]] = {
    "utf-8": _utf_8,
    "cp932": _cp932,
    "euc-jp": _euc_jp,
    "iso-2022-jp": _iso_2022_jp,
}
