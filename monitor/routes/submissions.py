"""`/submissions`: hand-ins and grades; the student and the class's teachers get messages."""

from collections.abc import Callable, Iterable
from functools import partial

import msgspec
from msgspec import UNSET

from monitor.auth.call import Call
from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Connection
from monitor.errors import Conflict, NotFound
from monitor.http.operations import Api
from monitor.http.transactions import AfterCommit, Transactions
from monitor.live.channels import channel
from monitor.live.history import Publication
from monitor.lms import submissions
from monitor.lms.markdown_rendering import rendered_cells
from monitor.lms.notebook_reading import handed_in
from monitor.lms.submissions import (
    SUBMISSIONS,
    SUMMARIES,
    AssignmentSubmission,
    AssignmentSubmissionCreate,
    AssignmentSubmissionResponse,
    AssignmentSubmissionUpdate,
    Graded,
    SubmissionFilter,
    SubmissionOutcome,
    Submitted,
)
from monitor.workers.pool import Workers

Publish = Callable[[Iterable[Publication]], None]


def declare(api: Api, publish: Publish, workers: Workers) -> None:
    """`publish` sends messages to subscribers, `workers` read and render notebooks."""
    _declare_changes(api, publish, workers)
    _declare_reads(api, workers)


def _declare_changes(api: Api, publish: Publish, workers: Workers) -> None:
    @api.operation("POST", "/submissions", status=201, in_turns=False)
    async def create_submission(
        transactions: Transactions,
        after_commit: AfterCommit,
        call: Call,
        body: AssignmentSubmissionCreate,
    ) -> AssignmentSubmissionResponse:
        """Hands a notebook in: the student's next attempt (`assignment_submitted`)."""
        notebook = None
        if body.notebook_content is not UNSET and not _is_null(body.notebook_content):
            notebook = await handed_in(workers, call.payer, body.notebook_content)
        async with transactions.begin() as connection:
            outcome = await submissions.create(connection, body, notebook)
        return _announce(outcome, after_commit)

    @api.operation("PUT", "/submissions/{submission_id}", raises=(NotFound,), in_turns=False)
    async def update_submission(
        connection: Connection,
        after_commit: AfterCommit,
        submission_id: Id,
        body: AssignmentSubmissionUpdate,
    ) -> AssignmentSubmissionResponse:
        """Grades a submission. A new grade is sent on (`assignment_graded`)."""
        outcome = await submissions.grade(connection, submission_id, body)
        return _announce(outcome, after_commit)

    @api.operation("DELETE", "/submissions/{submission_id}", raises=(NotFound,))
    async def delete_submission(
        connection: Connection, submission_id: Id
    ) -> AssignmentSubmissionResponse:
        """Deletes a submission."""
        return await SUBMISSIONS.delete(connection, submission_id)

    def _announce(
        outcome: SubmissionOutcome, after_commit: AfterCommit
    ) -> AssignmentSubmissionResponse:
        messages = []
        if new := outcome.submitted:
            channels = _channels(new)
            messages.append(Publication("assignment_submitted", channels, new.submitted_at, new))
        if graded := outcome.graded:
            channels = _channels(graded)
            messages.append(Publication("assignment_graded", channels, graded.graded_at, graded))
        if messages:
            after_commit(partial(publish, messages))
        return outcome.submission


def _is_null(content: msgspec.Raw) -> bool:
    return bytes(memoryview(content)[:4]) == b"null"


def _channels(change: Submitted | Graded) -> list[str]:
    """Those of the student and of the class's teachers."""
    return [channel("notifications", change.user_id), f"class:{change.class_id}"]


def _declare_reads(api: Api, workers: Workers) -> None:
    @api.operation("GET", "/submissions")
    async def list_submissions(
        connection: Connection, query: SubmissionFilter, caller: Principal
    ) -> Listing[AssignmentSubmission]:
        """Submissions without their contents, in the order in which they were handed in."""
        return await SUMMARIES.find(connection, query, visible(SUMMARIES.table, caller))

    @api.operation("GET", "/submissions/{submission_id}", raises=(NotFound,))
    async def get_submission(
        connection: Connection, submission_id: Id
    ) -> AssignmentSubmissionResponse:
        """A submission, with its content as it was handed in."""
        return await SUBMISSIONS.get(connection, submission_id)

    @api.operation(
        "GET",
        "/submissions/{submission_id}/markdown",
        raises=(NotFound, Conflict),
        in_turns=False,
    )
    async def get_submission_markdown(
        transactions: Transactions, call: Call, submission_id: Id
    ) -> list[str | None]:
        """A submission's Markdown cells, as sanitised HTML.

        An item for each cell of the notebook: null for cells that aren't Markdown. Formulas are
        MathML. A picture of the notebook's own has no address, but `data-attachment`, the name of
        the cell's attachment, or `data-embedded`, the place among the data URLs of type PNG,
        JPEG, GIF and WebP in the cell's source, from 0.
        """
        async with transactions.begin() as connection:
            content = (await SUBMISSIONS.get(connection, submission_id)).notebook_content
        if content is None:
            return []
        return await rendered_cells(workers, call.payer, content)
