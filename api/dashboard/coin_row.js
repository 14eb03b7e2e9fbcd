// The table row of one coin. Its nodes are created once; only changed values are written.

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

export class CoinRow {
  // Whether the row is in the visible part of the table; other rows do not flash.
  isVisible = false;
  // The coin as it is shown.
  coin = null;
  #cells = {};

  // `currency` is that of the amounts.
  constructor(key, currency) {
    this.key = key;
    this.currency = currency;
    const cell = (name) => (this.#cells[name] = el("td", { class: `num ${name}`, role: "cell" }));
    const part = (name) => (this.#cells[name] = el("span", { class: name }));
    const initial = (this.#cells.initial = el("span", { class: "initial", "aria-hidden": "true" }));
    this.button = el("button", { type: "button", class: "pick", tabindex: "-1", "aria-pressed": "false" });
    const names = el("span", { class: "names" }, part("name"), part("symbol"));
    this.button.append(initial, names);
    this.tr = el("tr", { "data-key": key, role: "row" }, cell("rank"));
    this.star = el("button", { type: "button", class: "star", tabindex: "-1", "aria-pressed": "false" });
    this.tr.append(el("th", { scope: "row", role: "rowheader", class: "coin" }, this.star, this.button));
    this.tr.append(cell("price"), cell("hour"), cell("change"), cell("week"), cell("spark"));
    this.tr.append(cell("range"), cell("cap"), cell("volume"));
    const line = (this.#cells.line = svg("path", { d: "" }));
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
    this.#cells.spark.append(svg("svg", box, line));
    this.#cells.bar = el("span", { class: "bar", "aria-hidden": "true" });
    this.#cells.bounds = el("span", { class: "sr" });
    this.#cells.range.append(this.#cells.bar, this.#cells.bounds);
    initial.style.setProperty("--hue", hue(key));
  }

  // Writes changed values. With `flashes` a changed price is highlighted for a moment.
  show(coin, flashes) {
    const [before, cells] = [this.coin, this.#cells];
    if (before === coin) return;
    this.coin = coin;
    const isChanged = (name) => !before || before[name] !== coin[name];
    if (isChanged("market_cap_rank")) setText(cells.rank, coin.market_cap_rank ?? "–");
    if (isChanged("name") || isChanged("symbol")) this.#showName(coin);
    if (isChanged("price")) this.#showPrice(coin, flashes ? before?.price : undefined);
    for (const [name, field] of Object.entries(CHANGES)) {
      if (isChanged(field)) showChange(cells[name], coin[field]);
    }
    if (isChanged("market_cap")) showLarge(cells.cap, coin.market_cap, this.currency);
    if (isChanged("volume_24h")) showLarge(cells.volume, coin.volume_24h, this.currency);
    const hasNewRange = isChanged("high_24h") || isChanged("low_24h");
    if (hasNewRange) setText(cells.bounds, `${price(coin.low_24h)} to ${price(coin.high_24h)}`);
    if (hasNewRange || isChanged("price")) this.#showRange(coin);
  }

  // Whether the table has a column of sparklines: on narrow screens it has not.
  get hasLine() {
    return this.#cells.spark.checkVisibility();
  }

  // `line` is what Sparklines has of the coin.
  showLine(line) {
    setAttribute(this.#cells.line, "d", line?.path ?? "");
    setAttribute(this.#cells.line, "data-sign", line?.sign ?? "0");
  }

  select(isSelected) {
    setAttribute(this.button, "aria-pressed", String(isSelected));
    this.tr.classList.toggle("is-selected", isSelected);
  }

  showWatched(isWatched) {
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

function showChange(cell, change) {
  setText(cell, percent(change));
  setAttribute(cell, "data-sign", String(Math.sign(change ?? 0)));
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
