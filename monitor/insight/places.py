"""Where a student is: SQL that finds the notebook and cell of a place."""


def place(*, alias: str, cell: str, class_id: str, index: str = "NULL::integer") -> str:
    """A lateral subquery for the place of an alias and a cell, SQL expressions like the class.

    It has one row, or none without a notebook: notebook_id, notebook_path, cell_id and
    cell_position. `index` is the cell's in the student's own notebook; without one the position is
    what the first event about the cell said. A cell of another notebook is left out. The notebook
    is the class's of that path, also for what was done in no class. OFFSET 0 keeps it a look-up by
    keys.
    """
    return f"""LATERAL (
        SELECT COALESCE(own.id, n.id) AS notebook_id, n.path AS notebook_path,
            c.cell_id, c.cell_position
        FROM notebook_aliases AS na
        JOIN notebooks AS n ON n.id = na.notebook_id
        LEFT JOIN notebooks AS own ON own.class_id = {class_id} AND own.path = n.path
        LEFT JOIN LATERAL (
            SELECT cells.cell_id, CASE WHEN {index} >= 0 THEN {index}
                    WHEN cells.position >= 0 THEN cells.position END AS cell_position, (
                SELECT cn.path FROM notebook_aliases AS ca
                JOIN notebooks AS cn ON cn.id = ca.notebook_id
                WHERE ca.id = cells.alias_id
            ) AS path
            FROM cells WHERE cells.id = {cell} OFFSET 0
        ) AS c ON c.path = n.path
        WHERE na.id = {alias} OFFSET 0
    )"""  # noqa: S608 - constants
