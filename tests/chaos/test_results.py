"""What chaos itself relies on: a file of results that adds up, and a reckoning that notices."""

import asyncio
from pathlib import Path

import pytest

from tests.chaos import reckoning
from tests.chaos import results as module
from tests.chaos.lesson import Lesson
from tests.chaos.reckoning import Reckoning, reckon
from tests.chaos.results import Results
from tests.chaos.rosters import enrol
from tests.chaos.site import site


def test_an_interrupted_run_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.jsonl"
    Results(path).add("a fault", 1.0, Reckoning(sent=5, acknowledged=4))
    with path.open("ab") as file:
        file.write(b'{"code": "abc", "fau')  # killed while it wrote
    assert [each.sent for each in Results(path).rounds()["a fault"]] == [5]
    Results(path).add("a fault", 1.0, Reckoning(sent=7, misplaced=["here for there"]))
    assert [each.sent for each in Results(path).rounds()["a fault"]] == [5, 7]
    assert [each.kept for each in Results(path).rounds()["a fault"]] == [True, False]
    monkeypatch.setattr(module, "code_digest", lambda: "other code")
    assert Results(path).rounds() == {}
    assert Results(path).others() == 2


@pytest.mark.needs("redis", "influxdb")
async def test_the_reckoning_notices_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reckoning, "RECOVERY", 5.0)
    async with site() as here:
        lesson = Lesson(here.urls, "wrong")
        await enrol(here, "wrong")
        async with lesson.going_on():
            await asyncio.sleep(1)
        right = await reckon(here, lesson.journal)
        assert right.kept, right
        await here.execute(*(f"{change} WHERE event_id = ({_ONE})" for change in _CHANGES))
        await here.execute("UPDATE student_states SET errors = errors + 1 WHERE class_id = 0")
        wrong = await reckon(here, lesson.journal)
    assert wrong.acknowledged == right.acknowledged
    assert (wrong.missing, wrong.twice, len(wrong.misplaced)) == (1, 0, 5)
    assert wrong.without_point == 1
    tables = {each.partition(",")[0] for each in wrong.counters_off}
    assert tables == {"student_states", "cell_progress", "student_activity", "ledger"}


_ONE = """
    SELECT event_id FROM cell_executions WHERE class_id <> 0 AND credential IS NULL LIMIT 1
"""
_CHANGES = (
    "UPDATE cell_executions SET credential = 'changed', student_id = -student_id",
    "UPDATE cell_executions SET credential = 'changed', class_id = -class_id",
    "UPDATE cell_executions SET credential = 'changed', session_id = -session_id",
    "UPDATE cell_executions SET credential = 'changed', alias_id = -alias_id",
    "UPDATE cell_executions SET credential = 'changed', cell_id = -cell_id",
    "DELETE FROM cell_executions",
)
