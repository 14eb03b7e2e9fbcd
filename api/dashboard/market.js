// The market table: at most a hundred rows of those that were asked for, sorted and filtered here.

import { CoinRow } from "./coin_row.js";
import { arrange, byId, setAttribute, setText } from "./dom.js";
import { onFrame } from "./frame.js";
import { coinKey } from "./applying.js";

const MOST_ROWS = 100;
// Names and ranks are read upwards, amounts from the largest.
const ASCENDING_FIRST = new Set(["market_cap_rank", "name"]);
const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

export class Market {
  #rows = new Map();
  #shown = [];
  #sort = { field: "market_cap_rank", ascending: true };
  #query = "";
  #chosen = null;
  #holder = null;
  #seer = new IntersectionObserver((entries) => this.#see(entries));

  // `choose(coin)` runs when somebody picks a row.
  constructor(topic, choose) {
    this.topic = topic;
    this.choose = choose;
    this.body = byId("coins");
    this.#listen();
  }

  // Rows changed: draw in the next frame.
  draw() {
    onFrame("market", () => this.#draw());
  }

  mark(key) {
    if (this.#chosen === key) return;
    this.#rows.get(this.#chosen)?.choose(false);
    this.#chosen = key;
    this.#rows.get(key)?.choose(true);
  }

  #draw() {
    const coins = this.topic.data ?? [];
    const found = sorted(coins.filter((coin) => matches(coin, this.#query)), this.#sort);
    const visible = found.slice(0, MOST_ROWS);
    this.#shown = visible.map((coin) => this.#show(coin));
    arrange(this.body, this.#shown.map((row) => row.tr));
    this.#forget(coins);
    this.#keepOneTabStop();
    this.#count(visible.length, found.length, coins.length);
  }

  #show(coin) {
    const key = coinKey(coin);
    let row = this.#rows.get(key);
    if (!row) {
      this.#rows.set(key, (row = new CoinRow(key)));
      row.choose(key === this.#chosen);
      this.#seer.observe(row.tr);
    }
    row.show(coin, row.isSeen);
    return row;
  }

  #see(entries) {
    for (const { target, isIntersecting } of entries) {
      const row = this.#rowOf(target);
      if (row) row.isSeen = isIntersecting;
    }
  }

  #forget(coins) {
    if (this.#rows.size <= coins.length) return;
    const known = new Set(coins.map(coinKey));
    for (const [key, row] of this.#rows) {
      if (known.has(key)) continue;
      this.#seer.unobserve(row.tr);
      this.#rows.delete(key);
    }
  }

  // Tab reaches the table's rows once; arrow keys go on from there.
  #keepOneTabStop() {
    const holder =
      this.#shown.find((row) => row === this.#holder) ??
      this.#shown.find((row) => row.key === this.#chosen) ??
      this.#shown[0];
    if (holder === this.#holder) return;
    if (this.#holder) this.#holder.button.tabIndex = -1;
    if (holder) holder.button.tabIndex = 0;
    this.#holder = holder ?? null;
  }

  #count(visible, found, all) {
    const text = this.#query
      ? `${found} of ${all} match${found > visible ? `, ${visible} shown` : ""}`
      : `${visible} of ${all} coins`;
    setText(byId("market-count"), all ? text : "");
    byId("market-empty").hidden = visible > 0;
    setText(byId("market-empty"), this.#emptyText(all));
  }

  #emptyText(all) {
    if (all) return "No coin matches.";
    return this.topic.error ? `No prices: ${this.topic.error}` : "Waiting for the first prices …";
  }

  #listen() {
    byId("market-filter").addEventListener("input", (event) => {
      this.#query = event.target.value.trim().toLowerCase();
      this.draw();
    });
    for (const button of document.querySelectorAll("#market th button[data-field]")) {
      button.addEventListener("click", () => this.#sortBy(button.dataset.field));
    }
    this.body.addEventListener("click", (event) => {
      const row = this.#rowOf(event.target);
      if (row) this.#pick(row);
    });
    this.body.addEventListener("pointerover", (event) => this.#rowOf(event.target)?.tell());
    this.body.addEventListener("focusin", (event) => this.#hold(this.#rowOf(event.target)));
    this.body.addEventListener("keydown", (event) => this.#step(event));
  }

  #rowOf(node) {
    return this.#rows.get(node.closest("tr")?.dataset.key);
  }

  #pick(row) {
    const coin = this.topic.data.find((one) => coinKey(one) === row.key);
    if (coin) this.choose(coin);
  }

  #hold(row) {
    if (!row || row === this.#holder) return;
    if (this.#holder) this.#holder.button.tabIndex = -1;
    row.button.tabIndex = 0;
    this.#holder = row;
    row.tell();
  }

  #step(event) {
    const step = STEPS[event.key];
    const at = this.#shown.indexOf(this.#rowOf(event.target));
    if (step === undefined || at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const to = Math.min(this.#shown.length - 1, Math.max(0, at + step));
    this.#shown[to].button.focus();
  }

  #sortBy(field) {
    const isSame = this.#sort.field === field;
    const ascending = isSame ? !this.#sort.ascending : ASCENDING_FIRST.has(field);
    this.#sort = { field, ascending };
    for (const button of document.querySelectorAll("#market th button[data-field]")) {
      const isIt = button.dataset.field === field;
      const order = isIt ? (ascending ? "ascending" : "descending") : "none";
      setAttribute(button.closest("th"), "aria-sort", order);
    }
    this.draw();
  }
}

function matches(coin, query) {
  if (!query) return true;
  return [coin.name, coin.symbol, coin.id].some((text) => text?.toLowerCase().includes(query));
}

// The gateway's own order stands behind equals; unknown comes last either way.
function sorted(coins, { field, ascending }) {
  if (field === "market_cap_rank" && ascending) return coins;
  const direction = ascending ? 1 : -1;
  return coins.sort((one, other) => {
    const [a, b] = [one[field], other[field]];
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
}
