"""Numbers, readings and seats in rosters as schools write them."""

from typing import Any

import pytest

from monitor.errors import InvalidBody
from monitor.lms.enrolment_rows import Enrolment, EnrolmentRows
from monitor.lms.roster_files.file import ParsedRoster, parse
from monitor.lms.seating import SeatHolder, check_seats

Seated = tuple[str, int | None, str | None, str | None]


def read(text: str, **arguments: Any) -> ParsedRoster:
    return parse(text.encode(), **arguments)


def seated(parsed: ParsedRoster) -> list[Seated]:
    rows = parsed.enrolments.rows.values()
    return [(row.user_id or "", row.number, row.kana, row.seat) for row in rows]


def fields(parsed: ParsedRoster) -> list[str | None]:
    return [column.field for column in parsed.file.columns]


def refusal(text: str) -> list[str]:
    with pytest.raises(InvalidBody) as error:
        read(text)
    return [detail.msg for detail in error.value.details]


@pytest.mark.parametrize(
    "heading",
    [
        "number", "No", "No.", "Ｎｏ．", "番号", "出席番号", "出席番号 ※", "番", "名簿番号",
        "Roll No.",
    ],
)  # fmt: skip
def test_a_number_on_the_list_is_no_id(heading: str) -> None:
    parsed = read(f"{heading},学籍番号,氏名\n7,s001,山田花子\n１２,s002,佐藤太郎\n,s003,鈴木\n")
    assert seated(parsed) == [
        ("s001", 7, None, None),
        ("s002", 12, None, None),
        ("s003",) + (None,) * 3,
    ]
    assert fields(parsed) == ["number", "user_id", "name"]


@pytest.mark.parametrize(
    "heading", ["学籍番号", "学生番号", "生徒番号", "ID number", "Student number", "ID番号"]
)
def test_an_id_number_stays_an_id(heading: str) -> None:
    parsed = read(f"番号,{heading},氏名\n1,2026001,山田花子\n2,2026002,佐藤太郎\n")
    assert seated(parsed) == [("2026001", 1, None, None), ("2026002", 2, None, None)]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("07", 7),
        ("7.0", 7),
        ('="07"', 7),
        ("'7", 7),
        ("7番", 7),
        ("９９９９", 9_999),
        (" 3 ", 3),
        ("", None),
    ],
)
def test_a_number_is_what_was_meant(cell: str, number: int | None) -> None:
    quoted = cell.replace('"', '""')
    assert seated(read(f'出席番号,学籍番号\n"{quoted}",s001\n'))[0][1] == number


@pytest.mark.parametrize("cell", ["0", "10000", "-1", "1.5", "A1", "七", "1組3番"])
def test_a_number_that_is_none_is_refused_with_what_to_write(cell: str) -> None:
    (message,) = refusal(f"出席番号,学籍番号\n1,s001\n{cell},s002\n")
    assert message.startswith("Line 3: number: ")
    assert "write one of 1 to 9999" in message


def test_a_column_just_called_no_may_hold_something_else() -> None:
    text = "No.,学籍番号,氏名\nJ-01,s001,山田花子\nJ-02,s002,佐藤太郎\n"
    parsed = read(text)
    assert fields(parsed) == [None, "user_id", "name"]
    assert seated(parsed)[0] == ("s001", None, None, None)
    assert "Line 3" in refusal(text.replace("J-01", "1").replace("No.", "出席番号"))[0]


def test_without_other_ids_numbers_are_ids_only_if_they_are_no_numbers_of_a_list() -> None:
    parsed = read("番号,氏名,かな\ns001,山田花子,やまだ\ns002,佐藤太郎,さとう\n")
    assert seated(parsed) == [("s001", None, "やまだ", None), ("s002", None, "さとう", None)]
    for heading in ("出席番号", "番号", "No", "Ｎｏ．"):
        text = f"{heading},氏名,座席\n1,山田花子,A1\n2,佐藤太郎,A2\n"
        assert "no column has the ids" in refusal(text)[0]
        assert seated(read(text, id_column=1))[1] == ("2", None, None, "A2")
        assert "no column has the ids" in refusal(f"{heading},氏名\n1,山田花子\n2,佐藤太郎\n")[0]


@pytest.mark.parametrize(
    "row",
    [
        "s001\t佐藤\tかな\tstudent",
        "s001\tSato\tstudent\tNo",
        "s001\tNo\tMinsu\tstudent",
        "No\tMinsu\ts001\ts001@x.jp\tstudent",
    ],
)
def test_a_student_is_not_taken_for_headings(row: str) -> None:
    (entry,) = read(row).enrolments.rows.values()
    assert (entry.user_id, entry.role) == ("s001", "student")


@pytest.mark.parametrize(
    ("headings", "names"),
    [
        ("氏名,ふりがな", "kana"),
        ("氏名,フリガナ", "kana"),
        ("氏名,ﾌﾘｶﾞﾅ", "kana"),
        ("氏名,カナ", "kana"),
        ("氏名,かな", "kana"),
        ("氏名,よみ", "kana"),
        ("氏名,読み", "kana"),
        ("氏名,氏名（カナ）", "kana"),
        ("氏名,氏名カナ", "kana"),
        ("氏名,カナ氏名", "kana"),
        ("name,kana", "kana"),
        ("Name,Reading", "kana"),
        ("Name,Furigana", "kana"),
        ("Name,Name (kana)", "kana"),
        ("Name,Name - phonetic", "kana"),
    ],
)
def test_a_reading_is_no_name(headings: str, names: str) -> None:
    parsed = read(f"学籍番号,{headings}\ns001,山田花子,やまだ はなこ\n")
    assert fields(parsed) == ["user_id", "name", names]
    (row,) = parsed.enrolments.rows.values()
    assert (row.name, row.kana) == ("山田花子", "やまだ はなこ")


@pytest.mark.parametrize(
    "headings",
    ["姓,名,セイ,メイ", "姓,名,姓（カナ）,名（カナ）", "姓,名,姓フリガナ,名フリガナ",
     "Last name,First name,Last name - phonetic,First name - phonetic"],
)  # fmt: skip
def test_a_reading_in_two_columns_has_the_family_name_first(headings: str) -> None:
    parsed = read(f"学籍番号,{headings}\ns001,山田,花子,ヤマダ,ハナコ\n")
    (row,) = parsed.enrolments.rows.values()
    assert (row.name, row.kana) == ("山田 花子", "ヤマダ ハナコ")


def test_a_reading_is_normalised_and_a_name_with_its_reading_stays_a_name() -> None:
    assert seated(read("学籍番号,ﾌﾘｶﾞﾅ\ns001,ﾔﾏﾀﾞ\u3000ﾊﾅｺ\n"))[0][2] == "ヤマダ ハナコ"
    parsed = read("学籍番号,氏名（ふりがな）\ns001,山田花子（やまだはなこ）\n")
    assert fields(parsed) == ["user_id", "name"]
    (message,) = refusal("学籍番号,かな\ns001,=PHONETIC(B2)\n")
    assert "formula" in message


@pytest.mark.parametrize("heading", ["seat", "Seat No.", "座席", "席", "座席番号", "席番号"])
@pytest.mark.parametrize(
    ("cell", "seat"),
    [
        ("A3", "A3"), ("a3", "A3"), ("Ａ３", "A3"), ("A-3", "A3"), ("A－3", "A3"), ("A−3", "A3"),
        ("Aー3", "A3"), ("A 3", "A3"), ("A03", "A3"), ("1-3", "A3"), ("１－３", "A3"),
        ("27-12", "AA12"), ("aa12", "AA12"), ("A列3番", "A3"), ("2行3列", "B3"), ("", None),
        ("'A3", "A3"),
    ],
)  # fmt: skip
def test_a_seat_is_a_row_and_a_column(heading: str, cell: str, seat: str | None) -> None:
    assert seated(read(f"学籍番号,{heading}\ns001,{cell}\n"))[0][3] == seat


@pytest.mark.parametrize(
    "cell", ["12", "3列2番", "A", "窓側", "A0", "0-3", "A51", "51-1", "ABC1", "AZ1"]
)
def test_a_seat_that_is_none_is_refused_with_what_to_write(cell: str) -> None:
    (message,) = refusal(f"学籍番号,座席\ns001,A1\ns002,{cell}\n")
    assert message.startswith("Line 3: seat: ")
    assert "as A3, or 1-3" in message


@pytest.mark.parametrize("cell", ["1月3日", "3-Jan", "Jan-03", "2026/1/3", "1/3"])
def test_a_seat_that_excel_made_a_date_of_is_refused_as_that(cell: str) -> None:
    (message,) = refusal(f"学籍番号,座席\ns001,{cell}\n")
    assert "Excel has made a date of it" in message
    assert "A3" in message


def test_an_assignment_of_canvas_is_no_seat() -> None:
    text = (
        "Student,ID,SIS User ID,SIS Login ID,Section,Seat (12),Number (13)\n"
        '"Yamada, Hanako",811,s001,hanako@x.jp,Python A,9,90\n'
    )
    assert seated(read(text)) == [("s001", None, None, None)]


def test_numbers_readings_and_seats_without_headings_are_guessed() -> None:
    text = (
        "1\ts001\t山田花子\tヤマダハナコ\tA1\n"
        "2\ts002\t佐藤太郎\tサトウタロウ\tA2\n"
        "3\ts003\t鈴木一郎\tスズキイチロウ\tB1\n"
    )
    parsed = read(text)
    assert fields(parsed) == ["number", "user_id", "name", "kana", "seat"]
    assert seated(parsed)[2] == ("s003", 3, "スズキイチロウ", "B1")
    first = "\n".join("\t".join(reversed(row.split("\t"))) for row in text.splitlines())
    assert seated(read(first)) == seated(parsed)
    teams = "s001\t山田\tA1\ns002\t佐藤\tA1\ns003\t鈴木\tB1\n"
    assert fields(read(teams)) == ["user_id", "name", "team"]


def taken(rows: list[Enrolment], ids: list[int | None], *holders: SeatHolder) -> list[str]:
    try:
        check_seats(
            EnrolmentRows(dict(enumerate(rows, 2)), "Lines"), dict(enumerate(ids, 2)), holders
        )
    except InvalidBody as error:
        return [detail.msg for detail in error.details]
    return []


def test_two_on_one_seat_are_refused_with_both_lines() -> None:
    rows = [Enrolment(user_id=name, seat="Ａ１") for name in "abc"]
    rows[1].seat = "B1"
    (message,) = taken(rows, [None, None, None])
    assert message.startswith("Lines 2 and 4 both have the seat A1")


def test_the_seat_of_somebody_who_keeps_it_is_refused_with_both_names() -> None:
    holder = SeatHolder(9, "taro", "佐藤 太郎", "A1")
    new = Enrolment(user_id="hanako", name="山田 花子", seat="a1")
    (message,) = taken([new], [None], holder)
    assert message.startswith(
        "Line 2: 山田 花子 (hanako) can't have the seat A1, 佐藤 太郎 (taro) has"
    )
    stays = Enrolment(user_id="taro")  # whoever is in the file without a seat keeps theirs
    assert len(taken([new, stays], [None, 9], holder)) == 1


def test_rows_may_swap_and_move_seats() -> None:
    holders = SeatHolder(1, "a", None, "A1"), SeatHolder(2, "b", None, "A2")
    swapped = [Enrolment(user_id="a", seat="A2"), Enrolment(user_id="b", seat="A1")]
    assert taken(swapped, [1, 2], *holders) == []
    moved = [Enrolment(user_id="a", seat="B1"), Enrolment(user_id="c", seat="A1")]
    assert taken(moved, [1, None], *holders) == []
    assert taken([Enrolment(user_id="a", seat="A1")], [1], *holders) == []


@pytest.mark.parametrize("seat", ["12", "A99", "x", ""])
def test_an_enrolment_has_a_seat_or_none(seat: str) -> None:
    if seat:
        with pytest.raises(ValueError, match="as A3"):
            Enrolment(user_id="a", seat=seat)
