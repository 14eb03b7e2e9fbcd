// One coin's row: its nodes are made once, and only what changed is written.

import { el, prefersStillness, setAttribute, setText } from "./dom.js";
import { clock, large, percent, price } from "./format.js";

const FLASH = { duration: 700, easing: "ease-out" };

export class CoinRow {
  // Within the part of the table that is scrolled to: nobody sees the others light up.
  isSeen = false;
  #coin = {};
  #cells = {};

  constructor(key) {
    this.key = key;
    const cell = (name) => (this.#cells[name] = el("td", { class: `num ${name}`, role: "cell" }));
    const part = (name) => (this.#cells[name] = el("span", { class: name }));
    const initial = (this.#cells.initial = el("span", { class: "initial", "aria-hidden": "true" }));
    this.button = el("button", { type: "button", class: "pick", tabindex: "-1", "aria-pressed": "false" });
    this.button.append(initial, part("name"), part("symbol"));
    this.tr = el("tr", { "data-key": key, role: "row" }, cell("rank"));
    this.tr.append(el("th", { scope: "row", role: "rowheader", class: "coin" }, this.button));
    this.tr.append(cell("price"), cell("change"), cell("range"), cell("cap"), cell("volume"));
    this.#cells.bar = el("span", { class: "bar", "aria-hidden": "true" });
    this.#cells.bounds = el("span", { class: "sr" });
    this.#cells.range.append(this.#cells.bar, this.#cells.bounds);
    initial.style.setProperty("--hue", hue(key));
  }

  // Writes what differs from the last time. `flashes`: a new price lights up.
  show(coin, flashes) {
    const [before, cells] = [this.#coin, this.#cells];
    if (before === coin) return;
    this.#coin = coin;
    const differs = (name) => before[name] !== coin[name];
    if (differs("market_cap_rank")) setText(cells.rank, coin.market_cap_rank ?? "–");
    if (differs("name") || differs("symbol")) this.#showName(coin);
    if (differs("price")) this.#showPrice(coin, flashes ? before.price : undefined);
    if (differs("price_change_percentage_24h")) this.#showChange(coin.price_change_percentage_24h);
    if (differs("market_cap")) showLarge(cells.cap, coin.market_cap);
    if (differs("volume_24h")) showLarge(cells.volume, coin.volume_24h);
    const hasMoved = differs("high_24h") || differs("low_24h");
    if (hasMoved) setText(cells.bounds, `${price(coin.low_24h)} to ${price(coin.high_24h)}`);
    if (hasMoved || differs("price")) this.#showRange(coin);
  }

  choose(isChosen) {
    setAttribute(this.button, "aria-pressed", String(isChosen));
    this.tr.classList.toggle("is-chosen", isChosen);
  }

  // Whose price it is and of when; made when somebody points at the row.
  tell() {
    const { name, source, last_updated: at } = this.#coin;
    this.tr.title = `${name}: price by ${source ?? "nobody known"}, ${clock(at)}`;
  }

  #showName({ name, symbol }) {
    setText(this.#cells.initial, [...(symbol ?? "?")][0].toUpperCase());
    setText(this.#cells.name, name ?? symbol);
    setText(this.#cells.symbol, symbol);
  }

  #showPrice({ price: now }, before) {
    setText(this.#cells.price, price(now));
    if (typeof before !== "number" || now === null || prefersStillness.matches) return;
    const tint = now > before ? "var(--up-tint)" : "var(--down-tint)";
    this.#cells.price.animate([{ backgroundColor: tint, offset: 0 }], FLASH);
  }

  #showChange(change) {
    const cell = this.#cells.change;
    setText(cell, percent(change));
    setAttribute(cell, "data-sign", String(Math.sign(change ?? 0)));
  }

  #showRange({ price: now, low_24h: low, high_24h: high }) {
    const isKnown = now !== null && low !== null && high !== null && high > low;
    const share = isKnown ? Math.min(1, Math.max(0, (now - low) / (high - low))) : 0.5;
    this.#cells.bar.style.setProperty("--at", share.toFixed(3));
    setAttribute(this.#cells.bar, "data-known", String(isKnown));
  }
}

function showLarge(cell, value) {
  setText(cell, large(value));
  if (typeof value === "number") cell.title = `${Math.round(value).toLocaleString("en")} USD`;
  else cell.removeAttribute("title");
}

// A colour of its own for each coin, the same each time; its picture would be a foreign request.
function hue(key) {
  let sum = 7;
  for (const letter of key) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}
