"""Posts a simulated class of 38, who work, fail and ask for help, to a server: `make demo`."""

import argparse
import json
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from string import ascii_uppercase
from typing import Any

STUDENTS = (  # and how their names are read
    ("山田 花子", "やまだ はなこ"), ("佐藤 太郎", "さとう たろう"),
    ("鈴木 一郎", "すずき いちろう"), ("高橋 美咲", "たかはし みさき"),
    ("田中 健太", "たなか けんた"), ("伊藤 さくら", "いとう さくら"),
    ("渡辺 翔", "わたなべ しょう"), ("中村 葵", "なかむら あおい"),
    ("小林 蓮", "こばやし れん"), ("加藤 結衣", "かとう ゆい"),
    ("吉田 大輝", "よしだ だいき"), ("山本 凛", "やまもと りん"),
    ("佐々木 陽菜", "ささき ひな"), ("松本 颯太", "まつもと そうた"),
    ("井上 七海", "いのうえ ななみ"), ("木村 悠斗", "きむら ゆうと"),
    ("林 美月", "はやし みづき"), ("斎藤 湊", "さいとう みなと"),
    ("清水 莉子", "しみず りこ"), ("山口 樹", "やまぐち いつき"),
    ("森 彩花", "もり あやか"), ("池田 拓海", "いけだ たくみ"),
    ("橋本 真央", "はしもと まお"), ("阿部 航", "あべ わたる"),
    ("石川 千尋", "いしかわ ちひろ"), ("前田 涼", "まえだ りょう"),
    ("藤田 愛", "ふじた あい"), ("後藤 駿", "ごとう しゅん"),
    ("Emma Wilson", "ウィルソン エマ"), ("Liam Chen", "チェン リアム"),
    ("Olivia Garcia", "ガルシア オリビア"), ("Noah Kim", "キム ノア"),
    ("Ava Müller", "ミュラー エイバ"), ("Lucas Silva", "シルバ ルーカス"),
    ("Mia Rossi", "ロッシ ミア"), ("Ethan Brown", "ブラウン イーサン"),
    ("Sofia Novák", "ノバーク ソフィア"), ("Oliver Smith", "スミス オリバー"),
)  # fmt: skip
ROOM_COLUMNS = 8
ROOM = {"rows": 5, "columns": ROOM_COLUMNS, "aisles": [4]}
TEAMS = ("チームA", "チームB", "チームC", "Team D", "Team E")
NOTEBOOK = "lesson05/辞書.ipynb"
CELLS = (
    ("scores = {'国語': 80, '数学': 92}", None),
    ("scores['英語'] = 75\nscores", None),
    ("for subject, score in scores.items():\n    print(subject, score)",
     "IndentationError: expected an indented block"),
    ("total = sum(scores.values())\ntotal / len(scores)", "NameError: name 'score' is not defined"),
    ("def grade(score):\n    return 'A' if score >= 80 else 'B'", "SyntaxError: expected ':'"),
    ("{name: grade(s) for name, s in scores.items()}", "TypeError: 'int' object is not iterable"),
    ("scores['理科']", "KeyError: '理科'"),
    ("sorted(scores, key=scores.get)[0]", "AttributeError: 'list' object has no attribute 'get'"),
)  # fmt: skip
ANSWER = """# 第5回 辞書

**辞書**は *キー* と *値* の組です。

| 操作 | 書き方 |
|---|---|
| 取り出す | `scores['国語']` |
| 加える | `scores['英語'] = 75` |
"""
HARD = {2: 0.35, 3: 0.3, 4: 0.3, 5: 0.4, 6: 0.7, 7: 0.4}  # how often a run fails, by cell
PAUSE = 9.0  # seconds between two runs of a student, on average
HEARTBEAT = 10.0


@dataclass
class Student:
    """A student: where they are, and whether they ask for help."""

    user_id: str
    name: str
    team: str
    number: int  # on the class's list, which is in the order of kana
    kana: str
    pace: float
    next_at: datetime
    cell: int = 0
    runs: int = 0
    failed: int = 0
    calls_since: datetime | None = None
    called_at: datetime | None = None
    session: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def seat(self) -> str:
        """Row by row in the order of numbers, the first row in front."""
        row, column = divmod(self.number - 1, ROOM_COLUMNS)
        return f"{ascii_uppercase[row]}{column + 1}"

    def event(self, kind: str, at: datetime, **fields: Any) -> dict[str, Any]:
        return {
            "eventId": str(uuid.uuid4()),
            "eventType": kind,
            "eventTime": at.isoformat(),
            "userId": self.user_id,
            "userName": self.name,
            "teamName": self.team,
            "sessionId": self.session,
            "notebookPath": NOTEBOOK,
            **fields,
        }

    def until(self, now: datetime, chance: random.Random) -> Iterator[dict[str, Any]]:
        """The events up to `now`."""
        while self.next_at <= now and self.cell < len(CELLS):
            at = self.next_at
            yield self.run(at, chance)
            self.next_at = at + timedelta(seconds=PAUSE * self.pace * chance.uniform(0.5, 6))
        yield from self.call(now, chance)

    def run(self, at: datetime, chance: random.Random) -> dict[str, Any]:
        code, error = CELLS[self.cell]
        place, self.runs = self.cell, self.runs + 1
        fails = error is not None and chance.random() < HARD.get(place, 0) * min(1.3, self.pace)
        self.failed = self.failed + 1 if fails else 0
        self.cell += not fails
        outcome = (
            {"errorMessage": error, "hasError": True, "result": error}
            if fails
            else {"result": "OK"}
        )
        return self.event(
            "cell_executed",
            at,
            cellId=f"cell-{place + 1}",
            cellIndex=place,
            cellType="code",
            code=code,
            executionCount=self.runs,
            executionDurationMs=round(chance.lognormvariate(3, 1), 1),
            **outcome,
        )

    def call(self, now: datetime, chance: random.Random) -> Iterator[dict[str, Any]]:
        """A student who keeps failing presses the help button, which repeats until they succeed."""
        stuck = self.failed > 3 or (self.failed == 3 and chance.random() < 0.1)
        if self.calls_since is None and stuck:
            self.calls_since = now
        if self.calls_since is None:
            return
        if self.failed == 0 and now - self.calls_since > timedelta(seconds=40):
            self.calls_since = self.called_at = None
            yield self.event("help_stop", now)
        elif self.called_at is None or now - self.called_at >= timedelta(seconds=HEARTBEAT):
            self.called_at = now
            yield self.event("help", now)


class Server:
    """The API, called with Python's standard library only."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.key = ""  # that events are posted with
        self._token = token

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self._token and not path.startswith("events"):
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(  # noqa: S310 - the user's own URL
            f"{self.url}/{path}", data, headers, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def post(self, events: list[dict[str, Any]]) -> None:
        for start in range(0, len(events), 500):
            self.call("POST", f"events?key={self.key}", events[start : start + 500])


def create_demo(server: Server, students: list[Student]) -> int:
    """Creates a class of these students, marked as a demo; returns its id."""
    fields = ("user_id", "name", "team", "number", "kana", "seat")
    rows = [{name: getattr(student, name) for name in fields} for student in students]
    demo = {"name": "情報基礎 / Intro to Python", "students": rows, "room": ROOM}
    created = server.call("POST", "demos", demo)
    server.key = created["key"]
    class_id: int = created["class_id"]
    return class_id


def create_assignment(server: Server, class_id: int, students: list[Student]) -> None:
    """Creates an assignment with some submissions, partly graded."""
    notebooks = server.call("GET", f"notebooks?class_id={class_id}&limit=500")
    notebook_id = next(each["id"] for each in notebooks if each["path"] == NOTEBOOK)
    assignment = {
        "class_id": class_id,
        "notebook_id": notebook_id,
        "title": "第5回 辞書 / Dictionaries",
        "due_date": (datetime.now(UTC) + timedelta(days=3)).isoformat(),
        "points": 10,
    }
    assignment_id = server.call("POST", "assignments", assignment)["id"]
    for number, student in enumerate(students[:9]):
        cells = [markdown_cell(), *(code_cell(code, at) for at, (code, _) in enumerate(CELLS))]
        content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        attempt = {"assignment_id": assignment_id, "user_id": student.user_id}
        submission = server.call("POST", "submissions", attempt | {"notebook_content": content})
        if number < 4:
            graded = {"grade": 10 - number, "feedback": "よくできました / Well done"}
            server.call("PUT", f"submissions/{submission['id']}", graded)


def markdown_cell() -> dict[str, Any]:
    return {"id": "title", "cell_type": "markdown", "source": ANSWER, "metadata": {}}


def code_cell(code: str, place: int) -> dict[str, Any]:
    output = {"output_type": "stream", "name": "stdout", "text": "OK\n"}
    return {
        "id": f"cell-{place + 1}",
        "cell_type": "code",
        "source": code,
        "metadata": {},
        "execution_count": place + 1,
        "outputs": [output],
    }


def create_students(chance: random.Random, start: datetime) -> list[Student]:
    tag = uuid.uuid4().hex[:4]
    by_kana = sorted(kana for _, kana in STUDENTS)
    return [
        Student(
            f"s{tag}{place:03}",
            name,
            TEAMS[place % len(TEAMS)],
            1 + by_kana.index(kana),
            kana,
            chance.choice((0.6, 0.8, 1.0, 1.2, 1.6)),
            start + timedelta(seconds=chance.uniform(0, 240)),
        )
        for place, (name, kana) in enumerate(STUDENTS, 1)
    ]


def play(server: Server, seconds: float) -> None:
    """Creates the class and simulates its work for that long, or until it is removed."""
    chance = random.Random(5)
    students = create_students(chance, datetime.now(UTC) - timedelta(minutes=6))
    class_id = create_demo(server, students)
    server.post([s.event("notebook_open", s.next_at) for s in students])
    past = [each for s in students for each in s.until(datetime.now(UTC), chance)]
    server.post(sorted(past, key=lambda each: str(each["eventTime"])))
    create_assignment(server, class_id, students)
    print(f"Class {class_id} is working; watch it on the page. Ctrl-C stops.", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(1)
        for student in students:
            if events := list(student.until(datetime.now(UTC), chance)):
                server.post(events)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/api/v1", help="the server's API")
    parser.add_argument("--token", default="", help="an administrator's, where one is needed")
    parser.add_argument("--seconds", type=float, default=1800, help="how long it goes on")
    options = parser.parse_args()
    server = Server(options.url, options.token)
    try:
        play(server, options.seconds)
    except urllib.error.HTTPError as error:
        if error.code == 401 and server.key:
            sys.exit("The demo was removed.")
        sys.exit(f"{options.url}: {error}: {error.read().decode()}")
    except urllib.error.URLError as error:
        sys.exit(f"{options.url}: {error}. Start the server first (make run), or name it by --url")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
