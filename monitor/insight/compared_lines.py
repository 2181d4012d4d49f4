"""Has codes compared where that costs nobody else anything."""

from collections.abc import Iterable
from typing import cast

import msgspec

from monitor.errors import Conflict
from monitor.insight.code_lines import Code, CodeLine
from monitor.workers.job import Job, TooCostly
from monitor.workers.pool import Workers


async def compared(workers: Workers, caller: str, codes: Iterable[Code]) -> list[list[CodeLine]]:
    """The lines of each code, and what changed in it. Without a code before all are `same`.

    The first 400 lines of both codes count. Long codes are compared, but not highlighted, and
    neither are those for which no time is left. Raises OverLimit where the caller has many compared
    at a time, and Unavailable.
    """
    asked = list(codes)
    if not asked:
        return []
    try:
        answer = await workers.run(caller, _COMPARE, msgspec.json.encode(asked))
    except TooCostly as error:
        raise Conflict(f"{error} to compare: ask for fewer runs at a time") from None
    # They stay the JSON that they are, which is the answer's: decoding them would take longer.
    return cast("list[list[CodeLine]]", _ANSWERS.decode(answer))


_COMPARE = Job("monitor.insight.comparing", "compared_as_json", seconds=5.0)
_ANSWERS = msgspec.json.Decoder(list[msgspec.Raw])
