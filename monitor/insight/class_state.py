"""The state of a class now: what each student is doing, where, and how it goes."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from monitor.database.calls import IS_SETTLED
from monitor.database.members import class_page
from monitor.database.paging import Limit, Listing, Skip
from monitor.database.pool import Connection
from monitor.insight.cell_names import named, taken_name
from monitor.insight.copies import Row, counted_places
from monitor.insight.failing import FAILING
from monitor.insight.places import place
from monitor.insight.query import ClassIds, Query, class_students
from monitor.insight.running import RUNNING, idle_interval

HELP_TIMEOUT = timedelta(seconds=30)  # a call ends this long after its last `help` event

IdleAfter = Annotated[int, msgspec.Meta(ge=10, le=86_400, description="Seconds without an event")]


class ClassStateQuery(Query, frozen=True, kw_only=True):
    """`idle_after`: seconds without an event after which a student is idle.

    `at`: an earlier time instead of now; without a zone it is UTC. `skip` and `limit` are a page of
    students, by user_id.
    """

    skip: Skip = 0
    limit: Limit = 500

    idle_after: IdleAfter = 300
    at: datetime | UnsetType = UNSET


class StudentState(msgspec.Struct):
    """A student of a class, and what they did in it.

    `name` and `team` are the roster's, or claimed by events; null where there is nothing to show.
    `state` is `help` if the help button is on, which the extension has confirmed within 30 s, and
    no teacher has settled the call; otherwise `idle` without an event for `idle_after`
    seconds, while a cell runs for an hour, `error` if the last execution failed, and `active` in
    all other cases. `running_since` is when the cell `running_cell_id` began to run, if its client
    says when a run starts; null where none runs, or its client doesn't say which. Notebook and
    cell are where the student was last; `cell_position` is the cell's index, from 0, `cell_title`
    the first line of their code there, `cell_heading` the nearest heading that they rendered above.
    `executions` and `errors` are totals. Errors in a row are counted up to 100. `verified` says
    that the student's own credential posts into the class. `executions_in_no_class` and
    `errors_in_no_class` say how much of the totals was done in no class (open servers), but are 0
    for an earlier time. `failing_since` is the first failure in the cell `failing_cell_id`, where
    the last run failed, since the last success there, of the last three hours; null where the last
    run succeeded. `last_run_at` is when a run ended last. `called_at` is the latest `help` event
    that no `help_stop` followed, whether or not the call was settled; null for an earlier time.
    `number` (on the class's list), `kana` (how the name is read) and the seat are the roster's of
    now: rows from 1 at the front, columns from 1 at the left. Times are the server's.
    """

    student_id: int
    user_id: str
    name: str | None
    team: str | None
    state: Literal["help", "idle", "error", "active"]
    notebook_id: int | None
    notebook_path: str | None
    cell_id: str | None
    cell_position: int | None
    cell_title: str | None
    cell_heading: str | None
    executions: int
    errors: int
    errors_in_a_row: int
    last_heard_at: datetime | None
    verified: bool
    running_since: datetime | None
    running_cell_id: str | None
    executions_in_no_class: int = 0
    errors_in_no_class: int = 0
    failing_since: datetime | None = None
    failing_cell_id: str | None = None
    last_run_at: datetime | None = None
    called_at: datetime | None = None
    number: int | None = None
    kana: str | None = None
    seat_row: int | None = None
    seat_column: int | None = None


async def class_state(
    connection: Connection, class_ids: ClassIds, query: ClassStateQuery
) -> Listing[StudentState]:
    """In the order of their user_id. Raises NotFound."""
    idle_after = timedelta(seconds=query.idle_after)
    rows = await connection.fetch(
        _SELECT_STATES, class_ids, HELP_TIMEOUT, idle_after, query.skip, query.limit
    )
    if not rows:
        return Listing([], len(await class_students(connection, class_ids)))
    places = await counted_places(connection, class_ids, rows)
    items = [_state(place) for place in places]
    return Listing(items, rows[0]["total"])


def _state(row: Row) -> StudentState:
    del row["total"]
    title, heading = taken_name(row)
    return StudentState(**row, cell_title=title, cell_heading=heading)


# The state of a row `m` of `members` with its RUNNING as `run`. `$2` is HELP_TIMEOUT, `$3` when a
# student becomes idle.
STATE = f"""
    CASE WHEN m.is_calling AND m.help_at > now() - $2::interval AND NOT {IS_SETTLED}
            THEN 'help'
        WHEN m.last_received_at IS NULL
            OR m.last_received_at < now() - {idle_interval("$3")} THEN 'idle'
        WHEN m.errors_in_a_row > 0 THEN 'error'
        ELSE 'active' END
"""

_SELECT_STATES = f"""
    SELECT m.total, m.student_id, m.user_id, m.name, m.team, {STATE} AS state,
        place.notebook_id, place.notebook_path, place.cell_id, place.cell_position,
        named.*, m.executions, m.errors, m.errors_in_a_row, m.last_received_at AS last_heard_at,
        m.verified, run.running_since, run.running_cell_id,
        m.executions_in_no_class, m.errors_in_no_class,
        failing.failing_since, failing.failing_cell_id,
        m.last_run_at, CASE WHEN m.is_calling THEN m.help_at END AS called_at,
        m.number, m.kana, m.seat_row, m.seat_column
    FROM ({class_page(skip="$4", limit="$5")}) AS m
    LEFT JOIN {RUNNING} AS run ON true
    LEFT JOIN {FAILING} AS failing ON true
    LEFT JOIN {
    place(alias="m.alias_id", cell="m.cell_id", index="m.cell_index", class_id="m.class_id")
} AS place ON true
    LEFT JOIN {
    named(
        student="m.student_id",
        alias="m.alias_id",
        cell="m.cell_id",
        index="place.cell_position",
        classes="$1",
    )
} AS named ON true
    ORDER BY m.user_id
"""  # noqa: S608 - constants
