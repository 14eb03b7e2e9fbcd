// The market table, sorted and filtered in the page: the first rows, more of them on request, and
// above them the coin that was found by the search if it is not among them.

import { matches, nextSort, queryOf, showSort, sorted } from "./coin_list.js";
import { CoinRow } from "./coin_row.js";
import { USD } from "./currency.js";
import { arrange, byId, isNarrow, setAttribute, setText } from "./dom.js";
import { showCount, showEmpty } from "./market_count.js";
import { onFrame } from "./render.js";
import { RowFocus } from "./row_focus.js";
import { coinKey, withoutFigures } from "./topic.js";

// Rows that are shown at first, and after each "Show more".
const STEPS_OF_ROWS = [25, 100, Infinity];
// The most rows that one frame makes: about 4 ms of script.
const NEW_ROWS = 25;

export class Market {
  #rows = new Map();
  #shown = [];
  #sort = { field: "market_cap_rank", ascending: true };
  #query = "";
  #selected = null;
  #found = null;
  #isWatchedOnly = false;
  // Coins of the watchlist beyond the list, by key, as they were read.
  #beyond = new Map();
  #maxRows;
  #currency = USD;
  #visibility = new IntersectionObserver((entries) => this.#updateVisibility(entries));

  // `onSelect(coin)` runs when the user selects a row, `onView()` when other coins may be needed.
  constructor({ topic, sparklines, watchlist, onSelect, onView }) {
    Object.assign(this, { topic, sparklines, watchlist, onSelect, onView });
    this.body = byId("coins");
    this.focus = new RowFocus();
    // Where the panels are below each other, a long table would be a long way to the chart.
    this.#maxRows = STEPS_OF_ROWS[isNarrow.matches ? 0 : 1];
    this.#addListeners();
  }

  draw() {
    onFrame("market", () => this.#draw());
  }

  // Clears the table: amounts of the currency before must not be shown under the name of another.
  setCurrency(code) {
    this.#currency = code;
    if (this.#found) this.#found = withoutFigures(this.#found);
    this.#beyond.clear();
    this.#rows.clear();
    this.#visibility.disconnect();
    setText(byId("price-head"), code === USD ? "Price, $" : `Price, ${code}`);
    setText(byId("market-caption"), `Coins with price in ${code}; arrow keys move between rows, Enter shows a coin's chart`);
    setText(byId("spark-head"), code === USD ? "7 days" : "7 d, USD");
    this.draw();
  }

  // Shows the row of a coin that was found by the search, whatever its rank.
  showFound(coin) {
    this.#found = coin;
    this.draw();
  }

  clearFilter() {
    byId("market-filter").value = this.#query = "";
    if (this.#isWatchedOnly) this.#setView(false);
    this.draw();
  }

  // The ids of the watched coins that the list has no figures of, while these are shown.
  get wantedIds() {
    if (!this.#isWatchedOnly || !this.topic.data) return [];
    const listed = new Set(this.topic.data.map(coinKey));
    return this.watchlist.coins.map(coinKey).filter((key) => !listed.has(key));
  }

  showBeyond(coins) {
    for (const coin of coins) this.#beyond.set(coinKey(coin), coin);
    this.draw();
  }

  // The query of the request whose answer has the rows that are shown.
  get query() {
    const isChosen = this.#isWatchedOnly || this.#query !== "" || this.#found !== null;
    return queryOf(this.#shown.map((row) => row.key), isChosen, this.#sort);
  }

  // The row of this key, or undefined.
  coin(key) {
    return this.#coins().find((coin) => coinKey(coin) === key);
  }

  select(key) {
    if (this.#selected === key) return;
    this.#rows.get(this.#selected)?.select(false);
    this.#selected = key;
    this.#rows.get(key)?.select(true);
  }

  // All coins of the list, and the found and the watched ones that are not among them.
  #coins() {
    const listed = this.topic.data ?? [];
    const others = this.#found ? [this.#found] : [];
    if (this.#isWatchedOnly) {
      others.push(...this.watchlist.coins.map((coin) => this.#beyond.get(coinKey(coin)) ?? coin));
    }
    if (!others.length) return listed;
    const known = new Set(listed.map(coinKey));
    const isNew = (coin) => !known.has(coinKey(coin)) && known.add(coinKey(coin));
    return [...listed, ...others.filter(isNew)];
  }

  #draw() {
    const coins = this.#coins();
    const matching = sorted(coins.filter((coin) => this.#matches(coin)), this.#sort);
    const visible = this.#visible(matching);
    const made = this.#make(visible);
    if (made.length < visible.length) this.draw(); // the others in the next frames
    const isShorter = made.length < Math.min(visible.length, this.#shown.length);
    if (!isShorter) this.#place(made, coins); // else the table would lose its scroll position
    this.#showCount(visible.length, matching.length, coins.length);
  }

  // The coins that have rows: those of before, and as many more as one frame has the time for.
  #make(coins) {
    const missing = coins.filter((coin) => !this.#rows.has(coinKey(coin))).slice(0, NEW_ROWS);
    for (const coin of missing) this.#makeRow(coinKey(coin));
    return coins.filter((coin) => this.#rows.has(coinKey(coin)));
  }

  #makeRow(key) {
    const row = new CoinRow(key, this.#currency);
    this.#rows.set(key, row);
    row.select(key === this.#selected);
    this.#visibility.observe(row.tr);
  }

  // `coins` are all of which a row may be kept.
  #place(shown, coins) {
    this.#shown = shown.map((coin) => this.#show(coin));
    arrange(this.body, this.#shown.map((row) => row.tr));
    this.#removeUnknown(coins);
    this.focus.show(this.#shown, this.#rows.get(this.#selected));
  }

  #matches(coin) {
    return (!this.#isWatchedOnly || this.watchlist.has(coinKey(coin))) && matches(coin, this.#query);
  }

  #visible(coins) {
    const first = coins.slice(0, this.#maxRows);
    const key = this.#found && coinKey(this.#found);
    const found = key && coins.slice(this.#maxRows).find((coin) => coinKey(coin) === key);
    return found ? [found, ...first] : first;
  }

  #show(coin) {
    const row = this.#rows.get(coinKey(coin));
    row.show(coin, row.isVisible);
    row.showWatched(this.watchlist.has(row.key));
    row.showLine(this.topic.expiredSince ? null : this.sparklines.of(coin));
    return row;
  }

  #updateVisibility(entries) {
    // On narrow screens there is no such column. Asked of each row, this would lay out each row anew.
    const hasLines = byId("spark-head").checkVisibility();
    for (const { target, isIntersecting } of entries) {
      const row = this.#rowOf(target);
      if (!row) continue;
      row.isVisible = isIntersecting;
      if (isIntersecting && hasLines) this.sparklines.request(row.coin);
    }
  }

  #removeUnknown(coins) {
    if (this.#rows.size <= coins.length) return;
    const known = new Set(coins.map(coinKey));
    for (const [key, row] of this.#rows) {
      if (known.has(key)) continue;
      this.#visibility.unobserve(row.tr);
      this.#rows.delete(key);
    }
  }

  #showCount(visible, found, all) {
    const [isFiltered, next] = [this.#query !== "" || this.#isWatchedOnly, Math.min(found, this.#nextMaxRows())];
    showCount({ visible, found, all, isFiltered, next });
    showEmpty({ visible, all, isWatchlistEmpty: this.#isWatchedOnly && !this.watchlist.coins.length, error: this.topic.error });
  }

  #nextMaxRows() {
    return STEPS_OF_ROWS.find((count) => count > this.#maxRows) ?? Infinity;
  }

  #setView(isWatchedOnly) {
    this.#isWatchedOnly = isWatchedOnly;
    for (const button of document.querySelectorAll("#market-view button")) {
      setAttribute(button, "aria-pressed", String((button.dataset.view === "watched") === isWatchedOnly));
    }
    this.onView();
    this.draw();
  }

  #addListeners() {
    // A tablet that is turned has room for more; what was asked for stays.
    isNarrow.addEventListener("change", () => {
      this.#maxRows = Math.max(this.#maxRows, STEPS_OF_ROWS[isNarrow.matches ? 0 : 1]);
      this.draw();
    });
    for (const button of document.querySelectorAll("#market-view button")) {
      button.addEventListener("click", () => this.#setView(button.dataset.view === "watched"));
    }
    byId("market-more").addEventListener("click", () => {
      const before = this.#shown.length;
      this.#maxRows = this.#nextMaxRows();
      this.draw();
      // After the frame: before it the focus would compute the layout once more.
      onFrame("market focus", () => setTimeout(() => this.#shown[before]?.button.focus({ preventScroll: true })));
    });
    byId("market-filter").addEventListener("input", (event) => {
      this.#query = event.target.value.trim().toLowerCase();
      this.draw();
    });
    for (const button of document.querySelectorAll("#market th button[data-field]")) {
      button.addEventListener("click", () => this.#sortBy(button.dataset.field));
    }
    this.body.addEventListener("click", (event) => {
      const row = this.#rowOf(event.target);
      if (row && event.target.closest(".star")) this.watchlist.toggle(row.coin);
      else if (row) this.#selectRow(row);
    });
    this.body.addEventListener("pointerover", (event) => this.#rowOf(event.target)?.showSource());
    this.body.addEventListener("focusin", (event) => this.focus.enter(this.#rowOf(event.target)));
    this.body.addEventListener("keydown", (event) => this.focus.move(event, this.#rowOf(event.target)));
  }

  #rowOf(node) {
    return this.#rows.get(node.closest("tr")?.dataset.key);
  }

  #selectRow(row) {
    const coin = this.coin(row.key);
    if (coin) this.onSelect(coin);
  }

  #sortBy(field) {
    this.#sort = nextSort(this.#sort, field);
    showSort(this.#sort);
    this.draw();
  }
}
