"""Submissions: handing in, and grading, of which the student is told."""

import asyncio
from collections.abc import Callable, Iterable

from msgspec import UNSET
from starlette.concurrency import run_in_threadpool

from monitor.auth.principal import Principal
from monitor.auth.visibility import visible
from monitor.database.paging import Id, Listing
from monitor.database.pool import Database
from monitor.errors import NotFound
from monitor.http.operations import Api
from monitor.live.channels import channel
from monitor.live.history import Publication
from monitor.lms import submissions
from monitor.lms.markdown import markdown_cells
from monitor.lms.notebook_format import validate
from monitor.lms.submissions import (
    SUBMISSIONS,
    SUMMARIES,
    AssignmentSubmission,
    AssignmentSubmissionCreate,
    AssignmentSubmissionResponse,
    AssignmentSubmissionUpdate,
    SubmissionFilter,
    SubmissionOutcome,
)


def declare(api: Api, database: Database, publish: Callable[[Iterable[Publication]], None]) -> None:
    turn = asyncio.Lock()  # one at a time: threads would add memory, and no speed

    @api.operation("POST", "/submissions", status=201)
    async def create_submission(body: AssignmentSubmissionCreate) -> AssignmentSubmissionResponse:
        """Hands a notebook in: the student's next attempt at the assignment."""
        notebook = None
        if body.notebook_content is not UNSET and bytes(body.notebook_content) != b"null":
            async with turn:
                notebook = await run_in_threadpool(validate, bytes(body.notebook_content))
        async with database.transaction() as connection:
            outcome = await submissions.create(connection, body, notebook)
        return _announced(outcome)

    @api.operation("GET", "/submissions")
    async def list_submissions(
        query: SubmissionFilter, caller: Principal
    ) -> Listing[AssignmentSubmission]:
        """Submissions without their contents, in the order in which they were handed in."""
        async with database.transaction() as connection:
            return await SUMMARIES.find(connection, query, visible(SUMMARIES.table, caller))

    @api.operation("GET", "/submissions/{submission_id}", raises=(NotFound,))
    async def get_submission(submission_id: Id) -> AssignmentSubmissionResponse:
        """A submission, with its content as it was handed in."""
        async with database.transaction() as connection:
            return await SUBMISSIONS.get(connection, submission_id)

    @api.operation("PUT", "/submissions/{submission_id}", raises=(NotFound,))
    async def update_submission(
        submission_id: Id, body: AssignmentSubmissionUpdate
    ) -> AssignmentSubmissionResponse:
        """Grades a submission. A new grade is told to the student (`assignment_graded`)."""
        async with database.transaction() as connection:
            outcome = await submissions.grade(connection, submission_id, body)
        return _announced(outcome)

    @api.operation("DELETE", "/submissions/{submission_id}", raises=(NotFound,))
    async def delete_submission(submission_id: Id) -> AssignmentSubmissionResponse:
        """Deletes a submission."""
        async with database.transaction() as connection:
            return await SUBMISSIONS.delete(connection, submission_id)

    _declare_markdown(api, database, turn)

    def _announced(outcome: SubmissionOutcome) -> AssignmentSubmissionResponse:
        if graded := outcome.graded:
            channels = [channel("notifications", graded.user_id)]
            publish([Publication("assignment_graded", channels, graded.graded_at, graded)])
        return outcome.submission


def _declare_markdown(api: Api, database: Database, turn: asyncio.Lock) -> None:
    @api.operation("GET", "/submissions/{submission_id}/markdown", raises=(NotFound,))
    async def get_submission_markdown(submission_id: Id) -> list[str | None]:
        """The Markdown cells of what was handed in, as HTML without any danger.

        An item for each cell of the notebook: null for cells that aren't Markdown.
        """
        async with database.transaction() as connection:
            content = (await SUBMISSIONS.get(connection, submission_id)).notebook_content
        if content is None:
            return []
        async with turn:
            return await run_in_threadpool(markdown_cells, bytes(content))
