// Arrow keys move between the links of a table's body; Tab reaches one of them.

/**
 * @param {HTMLTableElement} table
 */
export function moveByArrows(table) {
  const first = table.tBodies[0]?.querySelector("td a");
  if (first instanceof HTMLElement) first.tabIndex = 0;
  table.addEventListener("keydown", (event) => {
    const link = event.target instanceof Element ? event.target.closest("td a") : null;
    const target = link instanceof HTMLElement && neighbour(link, event.key);
    if (!target) return;
    event.preventDefault();
    for (const each of table.querySelectorAll('td a[tabindex="0"]'))
      if (each instanceof HTMLElement) each.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  });
}

/**
 * @param {HTMLElement} link
 * @param {string} key
 */
function neighbour(link, key) {
  const cell = link.closest("td");
  const row = cell?.parentElement;
  if (!cell || !(row instanceof HTMLTableRowElement)) return null;
  const column = cell.cellIndex;
  /** @type {Record<string, Element | null | undefined>} */
  const targets = {
    ArrowLeft: cell.previousElementSibling,
    ArrowRight: cell.nextElementSibling,
    Home: row.cells[1],
    End: row.cells[row.cells.length - 1],
    ArrowUp: cellAt(row.previousElementSibling, column),
    ArrowDown: cellAt(row.nextElementSibling, column),
  };
  const target = targets[key]?.querySelector("a");
  return target?.closest("td") ? target : null; // the heading's link is no mark
}

/**
 * @param {Element | null} row
 * @param {number} column
 */
function cellAt(row, column) {
  return row instanceof HTMLTableRowElement ? row.cells[column] : null;
}
