// The last seven days of each coin of the list as a line, in USD: read once an hour, fifty coins at
// a time (about 65 kB), and only those of visible rows.

import { rowsOf } from "./access.js";
import { coinKey } from "./topic.js";

const COINS = 250;
const PAGE = 50;
const POINTS = 42;
const HOUR_MS = 3_600_000;
// After an answer without any sparkline.
const RETRY_MS = 60_000;
export const [WIDTH, HEIGHT] = [100, 24];

export class Sparklines {
  #lines = new Map();
  #pages = new Set();

  // `newPoll(handlers)` makes a Poll; `onChange()` runs when lines came.
  constructor(newPoll, onChange) {
    this.newPoll = newPoll;
    this.onChange = onChange;
  }

  // {path, sign} of a coin, or undefined.
  of(coin) {
    return this.#lines.get(coinKey(coin));
  }

  // Reads the lines around the rank of this coin from now on.
  request({ market_cap_rank: rank }) {
    const page = Math.floor((rank - 1) / PAGE);
    if (!(page >= 0 && page < COINS / PAGE) || this.#pages.has(page)) return;
    this.#pages.add(page);
    const poll = this.newPoll({
      onAnswer: (body) => this.#received(rowsOf(body)),
      onError: () => {}, // the column stays empty, and the request is repeated
      waitMs: (body) => (rowsOf(body).some((coin) => coin.sparkline_7d) ? HOUR_MS : RETRY_MS),
    });
    poll.setPath(`api/market?limit=${PAGE}&offset=${page * PAGE}&sparkline=true`);
  }

  #received(coins) {
    for (const coin of coins) {
      const line = lineOf(coin.sparkline_7d ?? []);
      if (line) this.#lines.set(coinKey(coin), line);
    }
    this.onChange();
  }
}

// Null where there are fewer than two prices.
function lineOf(all) {
  const prices = all.filter((price) => Number.isFinite(price));
  if (prices.length < 2) return null;
  const last = prices.length - 1;
  const count = Math.min(POINTS, prices.length);
  const chosen = Array.from({ length: count }, (_, at) => prices[Math.round((at * last) / (count - 1))]);
  const [lowest, highest] = [Math.min(...chosen), Math.max(...chosen)];
  const span = highest - lowest;
  const points = chosen.map((price, at) => {
    const [x, y] = [(at * WIDTH) / (count - 1), HEIGHT - 2 - (span ? (price - lowest) / span : 0.5) * (HEIGHT - 4)];
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return { path: `M${points.join("L")}`, sign: String(Math.sign(prices[last] - prices[0])) };
}
