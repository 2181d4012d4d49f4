"""Calls for help: SQL of when the latest one began, and of whether a teacher has settled it.

`calls_for_help` in sql/0030_days_of_calls.sql defines what a call is. It reads a student's events,
by an index of those that bear on calls: late, repeated and withdrawn ones need no care.
"""

LOOK_BACK = "interval '12 hours'"  # and further to the beginning of a call that lasts then
LONGEST = "interval '3 days 12 hours'"  # a call that lasts longer begins anew


def calls(*, student: str, classes: str, until: str, as_of: str, least: str, greatest: str) -> str:
    """The calls of a student that last in the half day before `until`: began_at and is_settled.

    `as_of` is until when answers count; `least` and `greatest` are the offsets (µs) of the clocks.
    """
    return f"""calls_for_help(
        {student}, {classes}, {until} - {LOOK_BACK}, {until}, {as_of}, {least}, {greatest}
    )"""


def is_settled(
    *, student: str, classes: str, until: str, as_of: str, least: str, greatest: str
) -> str:
    """Whether a teacher has settled the latest of these calls."""
    rows = calls(
        student=student,
        classes=classes,
        until=until,
        as_of=as_of,
        least=least,
        greatest=greatest,
    )
    return f"""(
        EXISTS (
            SELECT FROM help_requests AS h
            WHERE h.student_id = {student} AND h.class_id = ANY ({classes})
                AND h.resolved_at <= {as_of} AND h.heard_at > {until} - {LONGEST}
        ) AND COALESCE((SELECT is_settled FROM {rows} ORDER BY began_at DESC LIMIT 1), false)
    )"""  # noqa: S608 - constants


# Of a row `m` of `members`.
MEMBER_CALLS = calls(
    student="m.student_id",
    classes="m.call_classes",
    until="m.help_at",
    as_of="'infinity'",
    least="m.least_offset",
    greatest="m.greatest_offset",
)
IS_SETTLED = is_settled(
    student="m.student_id",
    classes="m.call_classes",
    until="m.help_at",
    as_of="'infinity'",
    least="m.least_offset",
    greatest="m.greatest_offset",
)

# The answer to the call of such a row that began at `request.asked_at`.
ANSWER = """
    SELECT * FROM help_requests AS h
    WHERE h.student_id = m.student_id AND h.class_id = ANY (m.call_classes)
        AND h.heard_at >= request.asked_at
    ORDER BY h.heard_at DESC LIMIT 1
"""
