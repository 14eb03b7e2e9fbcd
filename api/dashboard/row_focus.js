// The focus in the market table: the Tab key reaches one row, and arrow keys move between rows.

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

export class RowFocus {
  #rows = [];
  // The one row that the Tab key reaches.
  #tabStop = null;

  // `rows` are shown from now on, `selected` is one of them or undefined.
  show(rows, selected) {
    this.#rows = rows;
    const isShown = (row) => row && rows.includes(row);
    this.#setTabStop([this.#tabStop, selected].find(isShown) ?? rows[0] ?? null);
  }

  // The focus has come to a part of this row.
  enter(row) {
    if (!row || row === this.#tabStop) return;
    this.#setTabStop(row);
    row.showSource();
  }

  // A key was pressed in this row.
  move(event, row) {
    const step = STEPS[event.key];
    const at = this.#rows.indexOf(row);
    if (step === undefined || at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const to = Math.min(this.#rows.length - 1, Math.max(0, at + step));
    this.#rows[to].button.focus();
  }

  #setTabStop(row) {
    if (row === this.#tabStop) return;
    if (this.#tabStop) this.#tabStop.button.tabIndex = -1;
    if (row) row.button.tabIndex = 0;
    this.#tabStop = row;
  }
}
