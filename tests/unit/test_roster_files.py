"""Rosters as spreadsheets and learning management systems write them."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.errors import Detail, InvalidBody, TooLarge
from monitor.lms.roster_files.cells import MAX_LENGTH
from monitor.lms.roster_files.file import MAX_BYTES, ParsedRoster, parse

Fields = tuple[str, str | None, str | None, str | None]


def read(text: str, **arguments: Any) -> ParsedRoster:
    return parse(text.encode(), **arguments)


def people(parsed: ParsedRoster) -> list[Fields]:
    rows = parsed.enrolments.rows.values()
    return [(row.user_id or "", row.name, row.email, row.team) for row in rows]


def refusal(text: str | bytes, **arguments: Any) -> list[tuple[int, str]]:
    body = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InvalidBody) as error:
        parse(body, **arguments)
    return [(int(detail.loc[1]), detail.msg) for detail in error.value.details]


CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,第1回 (1203),Final Score
,,,,,Manual Posting,
    Points Possible,,,,,10,(read only)
"Yamada, Hanako",811,s001,hanako@x.jp,Python A,9,90
"佐藤, 太郎",812,s002,taro@x.jp,Python B,,
"Student, Test",813,,e5f1d4a2b7,Python A,,
"""
MOODLE = """\
"First name","Last name","ID number",Institution,Department,"Email address","Assignment: 1 (Real)"
Hanako,Yamada,s001,,,hanako@x.jp,9.00
Taro,Sato,s002,,,taro@x.jp,-
"""
MOODLE_JA = """\
名,姓,IDナンバー,所属組織,部署,メールアドレス,"課題: 第1回 (実データ)",コース合計 (実データ)
花子,山田,s001,,,hanako@x.jp,9.00,9.00
太郎,佐藤,s002,,,taro@x.jp,-,-
"""
PARTICIPANTS = """\
"First name","Last name","Email address",Groups
Hanako,Yamada,hanako@x.jp,"A, G1"
Taro,Sato,taro@x.jp,B
"""
CLASSROOM = """\
Last Name,First Name,Email Address,第1回,第2回
Date,,,2026-04-10,2026-04-17
Points,,,100,100
Yamada,Hanako,hanako@x.jp,90,
佐藤,太郎,taro@x.jp,80,70
"""
CLASSROOM_JA = "姓,名,メールアドレス,第1回\n日付,,,2026-04-10\n点数,,,10\n山田,花子,hanako@x.jp,9\n"
NBGRADER = "id,first_name,last_name,email\ns001,Hanako,Yamada,hanako@x.jp\ns002,太郎,佐藤,\n"
NBGRADER_GRADES = """\
assignment,duedate,timestamp,student_id,last_name,first_name,email,raw_score,score,max_score
ps1,,,s001,Yamada,Hanako,hanako@x.jp,1.0,1.0,2.0
ps1,,,s002,佐藤,太郎,,0.0,0.0,2.0
ps2,,,s001,Yamada,Hanako,hanako@x.jp,2.0,2.0,2.0
"""
BOTH: list[Fields] = [
    ("s001", "Hanako Yamada", "hanako@x.jp", None),
    ("s002", "佐藤 太郎", None, None),
]


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        (
            CANVAS,
            "canvas",
            [
                ("s001", "Hanako Yamada", None, "Python A"),
                ("s002", "佐藤 太郎", None, "Python B"),
            ],
        ),
        (
            MOODLE,
            "moodle",
            [
                ("s001", "Hanako Yamada", "hanako@x.jp", None),
                ("s002", "Taro Sato", "taro@x.jp", None),
            ],
        ),
        (
            MOODLE_JA,
            "moodle",
            [("s001", "山田 花子", "hanako@x.jp", None), ("s002", "佐藤 太郎", "taro@x.jp", None)],
        ),
        (
            PARTICIPANTS,
            "moodle",
            [
                ("hanako@x.jp", "Hanako Yamada", "hanako@x.jp", "A, G1"),
                ("taro@x.jp", "Taro Sato", "taro@x.jp", "B"),
            ],
        ),
        (
            CLASSROOM,
            "google_classroom",
            [
                ("hanako@x.jp", "Hanako Yamada", "hanako@x.jp", None),
                ("taro@x.jp", "佐藤 太郎", "taro@x.jp", None),
            ],
        ),
        (
            CLASSROOM_JA,
            "google_classroom",
            [("hanako@x.jp", "山田 花子", "hanako@x.jp", None)],
        ),
        (NBGRADER, "nbgrader", BOTH),
        (NBGRADER_GRADES, "nbgrader", BOTH),
    ],
)
def test_exports_are_recognised_by_their_headings(
    text: str, form: str, expected: list[Fields]
) -> None:
    parsed = read(text)
    assert parsed.file.format == form
    assert people(parsed) == expected
    assert parsed.file.heading_line == 1


def test_what_is_no_student_is_left_out_and_said() -> None:
    remarks = [(each.line, each.remark) for each in read(CANVAS).remarks]
    assert remarks == [(2, "note"), (3, "totals"), (6, "test_student")]
    text = (
        "2026年度 名簿,,\n\n,学籍番号,氏名,\n1,s001,山田花子,\n2,s002,佐藤太郎,\n"
        ",学籍番号,氏名,\n3,s003,鈴木一郎,\n合計,,3,\n※2026年4月1日現在,,,\n以上,,,\n"
    )
    parsed = read(text)
    assert [fields[:2] for fields in people(parsed)] == [
        ("s001", "山田花子"),
        ("s002", "佐藤太郎"),
        ("s003", "鈴木一郎"),
    ]
    assert [(each.line, each.remark) for each in parsed.remarks] == [
        (1, "title"),
        (6, "headings"),
        (8, "totals"),
        (9, "note"),
        (10, "note"),
    ]


@pytest.mark.parametrize(
    "row", ["合計,2名", "Total,2", "合 計,", "平均,,", "合計 2名,,", "計,2", "クラスの平均,"]
)
def test_a_total_row_is_no_student(row: str) -> None:
    parsed = read(f"学籍番号,氏名\ns001,山田花子\ns002,佐藤太郎\n{row}\n")
    assert [fields[0] for fields in people(parsed)] == ["s001", "s002"]
    assert [each.remark for each in parsed.remarks] == ["totals"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s001\t山田花子\ths@x.jp\tチームA\ns002\t佐藤太郎\tts@x.jp\tチームB", "山田花子"),
        ("1\ts001\t山田花子\tヤマダハナコ\tA\n2\ts002\t佐藤太郎\tサトウタロウ\tB", "山田花子"),
        ("山田\t花子\ts001\n佐藤\t太郎\ts002", "山田 花子"),
        ("hs@x.jp\t山田 花子\t00123\nts@x.jp\t佐藤 太郎\t00124", "山田 花子"),
        ("s001,Hanako Yamada,hs@x.jp\ns002,Taro Sato,ts@x.jp", "Hanako Yamada"),
        ("s001\tHanako\tYamada\ns002\tTaro\tSato", "Hanako Yamada"),
        ("s001\t山田花子\tチームA", "山田花子"),
        ("1年A組\ns001\t山田花子\n\ns002\t佐藤太郎\n合計\t2", "山田花子"),
        ("Kennung\tVorname\ns001\tHanako\ns002\tTaro\ns003\tJiro", "Hanako"),
    ],
)
def test_cells_without_headings_are_told_apart_by_content(text: str, expected: str) -> None:
    parsed = read(text)
    assert (parsed.file.format, parsed.file.heading_line) == ("no_headings", None)
    first = people(parsed)[0]
    assert re.fullmatch("s001|00123", first[0])
    assert first[1] == expected
    assert first[2] in (None, "hs@x.jp")
    assert first[3] in (None, "チームA", "A")
    guessed = [column.field for column in parsed.file.columns]
    assert "user_id" in guessed


def test_a_column_of_ids_or_addresses_will_do() -> None:
    assert [each[0] for each in people(read("s001\ns002\n"))] == ["s001", "s002"]
    assert [each[0] for each in people(read("hanako\ntaro\n"))] == ["hanako", "taro"]
    assert people(read("yamada\t山田花子\nsato\t佐藤太郎\n"))[0][:2] == ("yamada", "山田花子")
    assert [each[0] for each in people(read("1\t山田花子\n2\t佐藤太郎\n"))] == ["1", "2"]
    assert "no column" in refusal("Hanako\tYamada\nTaro\tSato\n")[0][1]
    assert "Lines 1 and 2" in refusal("s001\t山田\ns001\t佐藤\n")[0][1]
    assert people(read("山田花子\th@x.jp\n")) == [("h@x.jp", "山田花子", "h@x.jp", None)]


@pytest.mark.parametrize(
    ("cell", "user_id"),
    [
        ('"=""00123"""', "00123"),
        ('="00123"', "00123"),
        ("'00123", "00123"),
        ("\u201900123", "00123"),
        ("００１２３", "00123"),
        ("ｓ００１＠ｘ．ｊｐ", "s001@x.jp"),
        (" s001\u3000", "s001"),
        ("s001\u200b", "s001"),
        ("\u202as001\u202c", "s001"),
        ('"s001\n"', "s001"),
        ("1E5", "1E5"),
        ("0x1F", "0x1F"),
    ],
)
def test_an_id_is_what_was_meant(cell: str, user_id: str) -> None:
    parsed = read(f"学籍番号,氏名\n{cell},山田花子\n")
    assert [each[0] for each in people(parsed)] == [user_id]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("1.23E+05", "Excel has rounded"),
        ("2E+07", "Excel has rounded"),
        ("2026001.0", "decimal"),
        ("7.0", "decimal"),
        ('"2,026,001"', "separators"),
        ("4月1日", "date"),
        ("1-Apr", "date"),
        ("#N/A", "error of the spreadsheet"),
        ("########", "error of the spreadsheet"),
        ("=A2", "formula"),
        ("s\x07001", "U+0007"),
        ("s\x00001", "NUL"),
        ("s\u0085001", "U+0085"),
        ('"s0\n01"', "line break"),
        ("s\ufffd01", "lost"),
        ("x" * (MAX_LENGTH + 1), "513 characters"),
        ("", "no id"),
        ("\u200b", "no id"),
    ],
)
def test_an_id_that_is_lost_is_refused_with_its_line(cell: str, reason: str) -> None:
    ((line, message),) = refusal(f"学籍番号,氏名\ns000,佐藤太郎\n{cell},山田花子\n")
    assert line == 3
    assert message.startswith("Line 3: ")
    assert reason in message


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ('"山田\n花子"', "山田 花子"),
        ("\u3000山田\u3000花子 ", "山田 花子"),
        ("か\u3099き", "がき"),
        ("'=1+1", None),
        ("'Abdul", "'Abdul"),
        ("ﾔﾏﾀﾞ ﾊﾅｺ", "ﾔﾏﾀﾞ ﾊﾅｺ"),
        ("a\u200bb", "ab"),
    ],
)
def test_names_are_as_written(cell: str, name: str | None) -> None:
    text = f"学籍番号,氏名\ns001,{cell}\n"
    if name is None:
        assert "formula" in refusal(text)[0][1]
    else:
        assert people(read(text))[0][1] == name


def test_an_id_twice_is_refused_with_both_lines() -> None:
    errors = refusal("学籍番号,氏名\ns001,花子\ns002,太郎\n\ns001,花子\nｓ００２,次郎\n")
    assert [line for line, _ in errors] == [5, 6]
    assert "Lines 2 and 5" in errors[0][1]
    assert "Lines 3 and 6" in errors[1][1]


def test_excels_sep_line_and_empty_columns_do_no_harm() -> None:
    parsed = read("sep=;\n学籍番号;氏名;;\ns001;山田, 花子;;\n;;;\n")
    assert people(parsed) == [("s001", "山田, 花子", None, None)]
    assert (parsed.file.separator, parsed.file.heading_line) == ("semicolon", 2)
    assert [each.number for each in parsed.file.columns] == [1, 2]
    ((line, _),) = refusal("sep=,\nuser_id,role\ns001,king\n")
    assert line == 3


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems(ends: str) -> None:
    text = '学籍番号,氏名\ns001,"山田\n花子"\ns002,佐藤\n'.replace("\n", ends)
    assert list(read(text).enrolments.rows) == [2, 4]


def test_roles_are_read_and_absent_ones_left_open() -> None:
    rows = read("user_id,役割\na,教員\nb,TA\nc,学生\nd,\n").enrolments.rows.values()
    assert [row.role for row in rows] == ["teacher", "assistant", "student", None]


def test_the_ids_may_be_in_another_column() -> None:
    text = "学籍番号,ユーザ名,氏名\n1,hanako,山田花子\n2,taro,佐藤太郎\n"
    assert [each[0] for each in people(read(text))] == ["1", "2"]
    assert [each[0] for each in people(read(text, id_column=2))] == ["hanako", "taro"]
    assert "column 9 is empty" in refusal(text, id_column=9)[0][1]
    empty = text.replace("1,hanako", ",hanako").replace("2,taro", ",taro")
    assert [each[0] for each in people(read(empty))] == ["hanako", "taro"]
    assert refusal(text.replace("2,taro", ",taro"))[0][0] == 3


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("", 1, "empty"),
        ("\n\n", 1, "empty"),
        ("学籍番号,氏名\n", 1, "no students"),
        ("氏名,チーム\n山田花子,A\n", 1, "no column has the ids"),
        ("山田花子\t佐藤\n", 1, "no column has the ids"),
        ("user_id,user_id\na,b\n", 1, "two columns are called user_id"),
        ('user_id,name\na,"b\nc,d\n', 2, "quotes"),
        ('user_id,name\na,"b\nc\nd\ne\nf\ng"\n', 2, "quotation mark"),
        ("user_id\n" + "".join(f"s{n}\n" for n in range(10_001)), 10_002, "10000 students"),
    ],
)
def test_files_without_students_are_refused(text: str, line: int, reason: str) -> None:
    ((refused_line, message),) = refusal(text)
    assert refused_line == line
    assert reason in message


def test_a_file_is_bounded() -> None:
    with pytest.raises(TooLarge):
        parse(b"x" * (MAX_BYTES + 1))
    lines = [line for line, _ in refusal("user_id\n" + "=x\n" * 100)]
    assert lines == list(range(2, 12))


WORDS = [
    "学籍番号",
    "氏名",
    "番号",
    "カナ",
    "座席",
    "A3",
    "1-3",
    "user_id",
    "email",
    "s001",
    "合計",
    "山田花子",
    "=1",
    '="0"',
    "a@b.c",
]
MARKS = [",", ",", ";", '"', "sep=;", "\n", "\r\n", "\t", "\x00", "\x1b$B", "\ufeff", "1.2E+05"]
PIECES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from([*WORDS, *MARKS]),
    ),
    max_size=40,
).map("".join)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp932", "euc_jp", "iso2022_jp"]


@settings(max_examples=400, deadline=None)
@given(PIECES, st.sampled_from(ENCODINGS))
def test_whatever_is_sent_is_read_or_refused(text: str, encoding: str) -> None:
    check(text.encode(encoding, "replace"))


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(noise: bytes) -> None:
    check(noise)
    check(b"user_id,name\n" + noise)


def check(body: bytes) -> None:
    """A file gives plain ids, or errors that name lines."""
    errors: tuple[Detail, ...] = ()
    try:
        parsed = parse(body)
    except InvalidBody as error:
        errors = error.details
    if errors:
        assert all(re.match(r"Lines? \d+", each.msg) for each in errors)
        assert all(isinstance(each.loc[1], int) for each in errors)
        return
    assert parsed.enrolments.rows
    for line, row in parsed.enrolments.rows.items():
        assert line >= 1
        assert row.user_id == (row.user_id or "").strip()
        assert row.number is None or 1 <= row.number <= 9_999
        for text in (row.user_id, row.name, row.email, row.team, row.kana, row.seat):
            assert text is None or 1 <= len(text) <= MAX_LENGTH
            assert not re.search("[\x00-\x1f\x7f-\x9f\ufffd]", text or "")
