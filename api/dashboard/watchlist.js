// The coins that the reader watches: stored in this browser, the same in all its tabs.

import { remember, remembered } from "./storage.js";
import { coinKey } from "./topic.js";

const KEY = "watchlist";
// The gateway answers for as many coins in one request.
const MAX_COINS = 250;

export class Watchlist {
  #coins = new Map();

  // `onChange()` runs after each change, also by another tab.
  constructor(onChange) {
    this.onChange = onChange;
    this.#read();
    addEventListener("storage", ({ key }) => {
      if (key !== KEY && key !== null) return;
      this.#read();
      this.onChange();
    });
  }

  // {id, symbol, name} of each coin, in the order in which they were added.
  get coins() {
    return [...this.#coins.values()];
  }

  has(key) {
    return this.#coins.has(key);
  }

  // Adds the coin, or removes it. Gives whether it is watched now.
  toggle(coin) {
    const key = coinKey(coin);
    const isAdded = !this.#coins.delete(key);
    if (isAdded && this.#coins.size < MAX_COINS) this.#coins.set(key, named(coin));
    remember(KEY, JSON.stringify(this.coins));
    this.onChange();
    return this.has(key);
  }

  #read() {
    const coins = parsed(remembered(KEY)).filter((coin) => typeof coin?.id === "string" && coin.id);
    this.#coins = new Map(coins.slice(0, MAX_COINS).map((coin) => [coin.id, named(coin)]));
  }
}

function named(coin) {
  const { id, symbol, name } = coin;
  const key = id ?? coinKey(coin);
  return { id: key, symbol: String(symbol ?? key), name: String(name ?? symbol ?? key) };
}

// What another version or another program has stored may be anything.
function parsed(text) {
  try {
    const found = JSON.parse(text ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}
