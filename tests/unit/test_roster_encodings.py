"""The encodings of rosters: decoded, or refused with the line, and never nonsense."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import InvalidBody
from monitor.lms.roster_files.encodings import decode

ROSTER = "学籍番号,氏名,チーム\ns001,山田花子,チームA\ns002,佐藤 太郎,チームB\n"
ENCODINGS = {
    "utf-8": "utf-8",
    "utf-8-sig": "utf-8",
    "utf-16": "utf-16",
    "utf-16-le": "utf-16",
    "utf-16-be": "utf-16",
    "cp932": "cp932",
    "euc_jp": "euc-jp",
    "iso2022_jp": "iso-2022-jp",
    "iso2022_jp_ext": "iso-2022-jp",
}


def refused_line(body: bytes, encoding: str | None = None) -> int:
    with pytest.raises(InvalidBody) as error:
        decode(body, encoding)  # type: ignore[arg-type]
    (detail,) = error.value.details
    assert "save it as" in detail.msg
    return int(detail.loc[1])


@pytest.mark.parametrize("codec", ENCODINGS)
@pytest.mark.parametrize(
    "text",
    [
        ROSTER,
        ROSTER.replace("\n", "\r\n"),
        "user_id,name\ns001,山田花子\n",
        "user_id,name\ns001,田中\n",
        "学籍番号\ts001\n氏名\t鈴木一郎\n",
        "user_id,name\ns001,ハナコ\ns002,たろう\n",
    ],
)
def test_a_roster_is_read_in_each_encoding(codec: str, text: str) -> None:
    assert decode(text.encode(codec)) == (text, ENCODINGS[codec])


def test_names_with_characters_of_windows_are_read() -> None:
    text = "氏名,番号\n髙橋,①\n山﨑,②\n"
    assert decode(text.encode("cp932")) == (text, "cp932")
    pairs = text.encode("cp932")
    euc, jis = bytearray(), bytearray()
    index = 0
    while index < len(pairs):  # by their places in JIS X 0208, as Windows writes them
        lead = pairs[index]
        if lead < 0x80:
            euc.append(lead)
            jis += b"\x1b(B" + bytes((lead,))
            index += 1
            continue
        row, cell = jis_of(text_of(pairs[index : index + 2]))
        euc += bytes((row + 0x80, cell + 0x80))
        jis += b"\x1b$B" + bytes((row, cell))
        index += 2
    assert decode(bytes(euc)) == (text, "euc-jp")
    assert decode(bytes(jis) + b"\x1b(B") == (text, "iso-2022-jp")


def text_of(pair: bytes) -> bytes:
    """髙 and 﨑 at the places that NEC selected, which fit into JIS X 0208."""
    return {b"\xfb\xfc": b"\xee\xe0", b"\xfa\xb1": b"\xed\x95"}.get(pair, pair)


def jis_of(pair: bytes) -> tuple[int, int]:
    lead, trail = pair
    row = (lead - (0x70 if lead < 0xA0 else 0xB0)) * 2
    if trail >= 0x9F:
        return row, trail - 0x7E
    return row - 1, trail - (0x1F if trail < 0x80 else 0x20)


def test_half_width_katakana_are_read() -> None:
    text = "user_id,name\ns001,ﾔﾏﾀﾞ ﾊﾅｺ\ns002,ｻﾄｳ ﾀﾛｳ\n"
    assert decode(text.encode("cp932")) == (text, "cp932")
    with_kanji = "学籍番号,氏名,ｶﾅ\ns001,山田花子,ﾔﾏﾀﾞ ﾊﾅｺ\n"
    assert decode(with_kanji.encode("cp932")) == (with_kanji, "cp932")
    assert decode(with_kanji.encode("euc_jp")) == (with_kanji, "euc-jp")


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("user_id,name\ns001,José\n", "cp1252"),
        ("user_id,name\ns001,Jürgen Müller\n", "cp1252"),
        ("user_id,name\ns001,Søren\ns002,Åse\n", "cp1252"),
        ("user_id,name\ns001,Élève Aurélie\n", "cp1252"),
        ("user_id,name\ns001,张伟\ns002,王芳\ns003,刘洋\n", "gb2312"),
        ("user_id,name\ns001,김철수\ns002,이영희\n", "euc_kr"),
        ("user_id,name\ns001,陳怡君\ns002,林志明\n", "big5"),
        ("user_id,name\ns001,Иван\n", "koi8_r"),
        ("user_id,name\ns001,Иван\ns002,Ольга\n", "cp1251"),
    ],
)
def test_other_encodings_are_refused_where_they_begin(text: str, codec: str) -> None:
    assert refused_line(text.encode(codec)) in (2, 3)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (ROSTER.encode()[:-1] + b"\xff\n", 3),
        ("学籍番号\ns001\n".encode() + "山田".encode("cp932"), 3),
        (ROSTER.encode("cp932") + b"s003,\x81", 4),
        (b"\xef\xbb\xbfuser_id\n\xff", 2),
        (b"\xff\xfe" + "user_id\ns001".encode("utf-16-le") + b"\0", 2),
        (b"\xff\xfe" + "user_id\n".encode("utf-16-le") + b"\x00\xd8,\x00", 2),
        (b"user_id\ns001\ns0\x0002\n", 3),
        (b"user_id\n\x1b$B;3\xff", 2),
        (b"user_id\ns001,\x1b$B;", 2),
        ("user_id\n".encode("utf-32"), 1),
    ],
)
def test_damaged_files_are_refused_with_the_line(body: bytes, line: int) -> None:
    assert refused_line(body) == line


def test_a_named_encoding_decides_and_is_checked() -> None:
    text = "user_id,name\ns001,乂乄\n"
    assert refused_line(text.encode("euc_jp")) == 2
    assert decode(text.encode("euc_jp"), "euc-jp") == (text, "euc-jp")
    assert refused_line(ROSTER.encode("cp932"), "euc-jp") == 1
    assert refused_line(ROSTER.encode("cp932"), "utf-8") == 1
    assert decode(b"\xef\xbb\xbf" + ROSTER.encode(), "cp932") == (ROSTER, "utf-8")  # as it says
    assert decode(ROSTER.encode("utf-16-be"), "utf-16") == (ROSTER, "utf-16")


def test_accents_in_utf_8_are_no_kanji() -> None:
    for name in ("José", "Müller", "Ñuñoa", "Łukasz", "Иван Петров", "Ελένη"):
        text = f"user_id,name\ns001,{name}\n"
        assert decode(text.encode()) == (text, "utf-8")


NAMES = st.lists(
    st.sampled_from(["山田花子", "佐藤太郎", "鈴木一郎", "高橋優子", "伊藤さくら", "小林ケン"]),
    min_size=2,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(NAMES, st.sampled_from(sorted(ENCODINGS)))
def test_japanese_names_are_read_in_every_encoding(names: list[str], codec: str) -> None:
    text = "user_id,name\n" + "".join(f"s{n},{name}\n" for n, name in enumerate(names))
    assert decode(text.encode(codec))[0] == text


KANJI = st.text(
    "亜唖娃阿哀愛挨姶逢葵茜穐悪握渥旭葦芦鯵梓弌丐丕个丱丶丼丿乂", min_size=1, max_size=6
)


@settings(max_examples=300, deadline=None)
@given(st.lists(KANJI, min_size=1, max_size=5), st.sampled_from(["cp932", "euc_jp", "utf-8"]))
def test_rare_names_are_read_right_or_refused(names: list[str], codec: str) -> None:
    text = "user_id,name\n" + "".join(f"s{n},{name}\n" for n, name in enumerate(names))
    try:
        decoded = decode(text.encode(codec))[0]
    except InvalidBody:
        decoded = text
    assert decoded == text
