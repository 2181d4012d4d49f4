"""Who is in a class, under which name, and how it goes for them: SQL of views and rosters."""

MAX_ERRORS_IN_A_ROW = 100  # more are not counted, as in the function errors_since


def names(*, line: str, record: str, claimed: str) -> str:
    """The columns name, email and team as a class shows them, out of those of these three rows.

    The roster's line comes first. An administrator's record stands above the name and the email
    that events claim, but below the team. A text without a visible character counts as missing.
    """
    return f"""
        COALESCE(shown({line}.name), shown({record}.name), shown({claimed}.name)) AS name,
        COALESCE(shown({line}.email), shown({record}.email), shown({claimed}.email)) AS email,
        COALESCE(shown({line}.team), shown({claimed}.team), shown({record}.team)) AS team
    """


def members(*, is_open: str) -> str:
    """One row for each member, whatever their role.

    `is_open` is a SQL condition: whether the server is open to everybody, so that a class also has
    what its members did in no class (class 0). `claimed` is what events say in the class, of two
    claims the later one.

    OFFSET 0 keeps states look-ups by their key, however wrong the planner's estimates are.

    `call_class` is where the latest call for help stands, `call_classes` are those whose events it
    is made of. It is open with `is_calling` and a recent `help_at`, until it is settled.

    `started_at` is when the latest run of a cell began, `last_run_at` when the latest ended.
    """
    return f"""
        SELECT m.class_id, m.student_id, s.user_id, m.role, m.joined_at, m.joined_by,
            m.number, m.kana, m.seat_row, m.seat_column,
            {names(line="m", record="s", claimed="claimed")},
            COALESCE(a.executions, 0) + COALESCE(b.executions, 0) AS executions,
            COALESCE(a.errors, 0) + COALESCE(b.errors, 0) AS errors,
            COALESCE(b.executions, 0) AS executions_in_no_class,
            COALESCE(b.errors, 0) AS errors_in_no_class,
            cardinality(failing.error_times) AS errors_in_a_row,
            GREATEST(a.last_received_at, b.last_received_at) AS last_received_at,
            CASE WHEN a.alias_at IS NULL OR b.alias_at > a.alias_at
                THEN b.alias_id ELSE a.alias_id END AS alias_id,
            CASE WHEN a.cell_at IS NULL OR b.cell_at > a.cell_at
                THEN b.cell_id ELSE a.cell_id END AS cell_id,
            CASE WHEN a.cell_at IS NULL OR b.cell_at > a.cell_at
                THEN b.cell_index ELSE a.cell_index END AS cell_index,
            GREATEST(a.cell_at, b.cell_at) AS cell_at,
            GREATEST(
                a.last_success_at, a.error_times[cardinality(a.error_times)],
                b.last_success_at, b.error_times[cardinality(b.error_times)]
            ) AS last_run_at,
            GREATEST(a.started_at, b.started_at) AS started_at,
            CASE WHEN a.started_at IS NULL OR b.started_at > a.started_at
                THEN b.started_alias ELSE a.started_alias END AS started_alias,
            CASE WHEN a.started_at IS NULL OR b.started_at > a.started_at
                THEN b.started_cell ELSE a.started_cell END AS started_cell,
            b.class_id AS no_class,
            call.help_at, call.help_stop_at, call.class_id AS call_class,
            CASE WHEN {is_open} THEN ARRAY[m.class_id, 0] ELSE ARRAY[m.class_id] END
                AS call_classes,
            COALESCE(call.help_at > COALESCE(call.help_stop_at, '-infinity'), false) AS is_calling,
            COALESCE((
                SELECT true FROM verified_students AS v
                WHERE v.student_id = m.student_id AND v.class_id IN (a.class_id, b.class_id) LIMIT 1
            ), false) AS verified,
            LEAST(a.least_offset, b.least_offset, 0) AS least_offset,
            GREATEST(a.greatest_offset, b.greatest_offset, 0) AS greatest_offset
        FROM student_classes AS m
        JOIN students AS s ON s.id = m.student_id
        LEFT JOIN LATERAL (
            SELECT * FROM student_states
            WHERE student_id = m.student_id AND class_id = m.class_id OFFSET 0
        ) AS a ON true
        LEFT JOIN LATERAL (
            SELECT * FROM student_states
            WHERE student_id = m.student_id AND class_id = 0 AND {is_open} OFFSET 0
        ) AS b ON true
        CROSS JOIN LATERAL (
            SELECT CASE WHEN b.student_id IS NULL THEN COALESCE(a.error_times, '{{}}')
                ELSE errors_since(
                    GREATEST(a.last_success_at, b.last_success_at),
                    COALESCE(a.error_times, '{{}}'), b.error_times
                ) END AS error_times
        ) AS failing
        CROSS JOIN LATERAL (
            SELECT {", ".join(map(_claimed, ("name", "email", "team")))}
        ) AS claimed
        CROSS JOIN LATERAL (
            SELECT GREATEST(a.help_at, b.help_at) AS help_at,
                GREATEST(a.help_stop_at, b.help_stop_at) AS help_stop_at,
                CASE WHEN b.help_at IS NULL OR b.help_at <= a.help_at
                    THEN m.class_id ELSE 0 END AS class_id
        ) AS call
    """  # noqa: S608 - constants


def _claimed(field: str) -> str:
    """The later of what is claimed in the class (`a`) and in none (`b`), if it is visible."""
    return f"""
        CASE WHEN shown(b.{field}) IS NULL
            OR a.{field}_at > b.{field}_at AND shown(a.{field}) IS NOT NULL
        THEN shown(a.{field}) ELSE shown(b.{field}) END AS {field}
    """


# Those of one class. `$1` are the classes that its views show: the class, then 0 on an open server.
CLASS_MEMBERS = members(is_open="0 = ANY ($1::bigint[])") + " WHERE m.class_id = ($1::bigint[])[1]"


def class_page(*, skip: str, limit: str) -> str:
    """A page of a class's students by user_id, SQL expressions; `total` is how many they are."""
    return f"""
        SELECT m.*, count(*) OVER () AS total FROM ({CLASS_MEMBERS}) AS m
        WHERE m.role = 'student' ORDER BY m.user_id OFFSET {skip}::bigint LIMIT {limit}::bigint
    """  # noqa: S608 - constants
