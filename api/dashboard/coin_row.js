// The table row of one coin. Its nodes are copied from one empty row; only changed values are written.

import { el, prefersReducedMotion, setAttribute, setText, svg } from "./dom.js";
import { clock, exact, exactIfCut, large, percent, price } from "./format.js";
import { providerName } from "./names.js";
import { HEIGHT, WIDTH } from "./sparklines.js";
import { setTip } from "./tip.js";

// The cells of changes, by their fields.
const CHANGES = {
  hour: "price_change_percentage_1h",
  change: "price_change_percentage_24h",
  week: "price_change_percentage_7d",
};
const FLASH = { duration: 700, easing: "ease-out" };
// An empty row. A copy of it costs a fraction of one made node by node.
const TEMPLATE = createRow();

function createRow() {
  const cell = (name, ...children) => el("td", { class: `num ${name}`, role: "cell" }, ...children);
  const part = (name, attributes = {}) => el("span", { class: name, ...attributes });
  const hidden = { "aria-hidden": "true" };
  const button = (name, ...children) =>
    el("button", { type: "button", class: name, tabindex: "-1", "aria-pressed": "false" }, ...children);
  const names = el("span", { class: "names" }, part("name"), part("symbol"));
  const coin = el("th", { scope: "row", role: "rowheader", class: "coin" }, button("star"));
  coin.append(button("pick", part("initial", hidden), names));
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", ...hidden };
  const line = svg("svg", box, svg("path", { d: "" }));
  const row = el("tr", { role: "row" }, cell("rank"), coin, cell("price"), cell("hour"), cell("change"));
  row.append(cell("week"), cell("spark", line), cell("range", part("bar", hidden), part("sr")));
  row.append(cell("cap"), cell("volume"));
  return row;
}

export class CoinRow {
  // Whether the row is in the visible part of the table; other rows do not flash.
  isVisible = false;
  // The coin as it is shown.
  coin = null;
  #cells = {};
  #line = null;
  #isWatched = null;

  // `currency` is that of the amounts.
  constructor(key, currency) {
    this.key = key;
    this.currency = currency;
    this.tr = TEMPLATE.cloneNode(true);
    setAttribute(this.tr, "data-key", key);
    for (const node of this.tr.querySelectorAll("[class]")) this.#cells[node.className.split(" ").at(-1)] = node;
    this.#cells.line = this.tr.querySelector("path");
    this.button = this.#cells.pick;
    this.star = this.#cells.star;
    this.#cells.initial.style.setProperty("--hue", hue(key));
  }

  // Writes changed values. With `flashes` a changed price is highlighted for a moment.
  show(coin, flashes) {
    const [before, cells] = [this.coin, this.#cells];
    if (before === coin) return;
    this.coin = coin;
    const isChanged = (name) => !before || before[name] !== coin[name];
    if (isChanged("market_cap_rank")) setText(cells.rank, String(coin.market_cap_rank ?? "–"));
    if (isChanged("name") || isChanged("symbol")) this.#showName(coin);
    if (isChanged("price")) this.#showPrice(coin, flashes ? before?.price : undefined);
    for (const [name, field] of Object.entries(CHANGES)) {
      if (isChanged(field)) showChange(cells[name], coin[field], before?.[field]);
    }
    if (isChanged("market_cap")) showLarge(cells.cap, coin.market_cap, this.currency);
    if (isChanged("volume_24h")) showLarge(cells.volume, coin.volume_24h, this.currency);
    const hasNewRange = isChanged("high_24h") || isChanged("low_24h");
    if (hasNewRange) setText(cells.sr, `${price(coin.low_24h)} to ${price(coin.high_24h)}`);
    if (hasNewRange || isChanged("price")) this.#showRange(coin);
  }

  // `line` is what Sparklines has of the coin.
  showLine(line) {
    if (line === this.#line) return;
    this.#line = line;
    setAttribute(this.#cells.line, "d", line?.path ?? "");
    setAttribute(this.#cells.line, "data-sign", line?.sign ?? "0");
  }

  select(isSelected) {
    setAttribute(this.button, "aria-pressed", String(isSelected));
    this.tr.classList.toggle("is-selected", isSelected);
  }

  showWatched(isWatched) {
    if (isWatched === this.#isWatched) return;
    this.#isWatched = isWatched;
    setAttribute(this.star, "aria-pressed", String(isWatched));
    setText(this.star, isWatched ? "★" : "☆");
  }

  // Prepares the tip with the exact price, its provider and its time; called when the pointer or
  // the focus comes to the row.
  showSource() {
    const { name, price: value, source, last_updated: at } = this.coin;
    const by = source ? ` by ${providerName(source)} (${source})` : "";
    const figure = typeof value === "number" ? `${exact(value)} ${this.currency}${by}, ${clock(at)}` : "no price";
    setTip(this.button, `${name ?? this.key}: ${figure}`);
  }

  #showName({ name, symbol }) {
    setText(this.#cells.initial, [...(symbol ?? "?")][0].toUpperCase());
    setText(this.#cells.name, name ?? symbol);
    setText(this.#cells.symbol, symbol);
    setAttribute(this.star, "aria-label", `Watch ${name ?? symbol}`);
  }

  #showPrice({ price: now }, before) {
    const text = price(now);
    setText(this.#cells.price, text);
    setTip(this.#cells.price, exactIfCut(now, text));
    if (typeof before !== "number" || typeof now !== "number" || prefersReducedMotion.matches) return;
    const tint = now > before ? "var(--up-tint)" : "var(--down-tint)";
    this.#cells.price.animate([{ backgroundColor: tint, offset: 0 }], FLASH);
  }

  #showRange({ price: now, low_24h: low, high_24h: high }) {
    const isKnown = [now, low, high].every((value) => typeof value === "number") && high > low;
    const share = isKnown ? Math.min(1, Math.max(0, (now - low) / (high - low))) : 0.5;
    this.#cells.bar.style.setProperty("--at", share.toFixed(3));
    setAttribute(this.#cells.bar, "data-known", String(isKnown));
  }
}

function showChange(cell, change, before) {
  setText(cell, percent(change));
  const sign = Math.sign(change ?? 0);
  if (before === undefined || sign !== Math.sign(before ?? 0)) setAttribute(cell, "data-sign", String(sign));
}

function showLarge(cell, value, currency) {
  const text = large(value);
  setText(cell, text);
  const all = exactIfCut(value, text);
  setTip(cell, all && `${all} ${currency}`);
}

// A fixed colour for each coin. Its logo would be a request to another host.
function hue(key) {
  let sum = 7;
  for (const letter of key) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}
