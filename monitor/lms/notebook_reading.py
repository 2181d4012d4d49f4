"""Reads a notebook where that costs nobody else anything."""

import msgspec

from monitor.lms.notebook_errors import InvalidNotebook
from monitor.lms.notebook_format import HandedIn, Refused, read_as_json, read_notebook
from monitor.workers.job import Job, TooCostly
from monitor.workers.pool import Workers

_READ = Job(read_as_json.__module__, read_as_json.__name__, seconds=2.0)

# Bytes of a notebook that is read at once: that takes 1 ms, and 4 ms of the most hostile, which is
# less than to give it away. Larger ones are read by a worker.
_SMALL = 16 * 1024


async def handed_in(workers: Workers, caller: str, content: msgspec.Raw) -> HandedIn:
    """What there is to store about the notebook that this caller hands in.

    Raises InvalidNotebook, OverLimit where the caller hands in many at a time, and Unavailable.
    """
    text = memoryview(content)
    if len(text) <= _SMALL:
        return read_notebook(bytes(text))
    try:
        answer = _ANSWERS.decode(await workers.run(caller, _READ, text))
    except TooCostly as error:
        reason = f"{error} to read: clear its output, and hand the notebook in again"
        raise InvalidNotebook(reason) from None
    if isinstance(answer, Refused):
        raise InvalidNotebook(answer.reason)
    return answer


_ANSWERS: msgspec.json.Decoder[HandedIn | Refused] = msgspec.json.Decoder(HandedIn | Refused)
