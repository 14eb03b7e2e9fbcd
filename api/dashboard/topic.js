// The state of one channel of the stream, and how an update changes it (docs/stream.md).

import { rowsOf } from "./access.js";
import { reason, when } from "./format.js";

const byRank = (one, other) => {
  const [a, b] = [one.market_cap_rank ?? Infinity, other.market_cap_rank ?? Infinity];
  return a === b ? 0 : a - b;
};
const newestFirst = (name) => (one, other) =>
  one[name] === other[name] ? 0 : one[name] > other[name] ? -1 : 1;

// A coin of which nothing but the name is known.
export function withoutFigures({ id, symbol, name, market_cap_rank }) {
  return { id, symbol, name, market_cap_rank };
}

// Of each channel with rows: the key of a row, the order of rows, and which rows stay. `blank` makes
// a row without its figures; without it the rows are dropped when they have expired.
const RULES = {
  market: { key: (row) => row.id ?? row.symbol, order: byRank, blank: withoutFigures },
  ohlc: { key: (row) => row.timestamp, order: (a, b) => a.timestamp - b.timestamp, keepsLast: true },
  news: { key: (row) => row.id, order: newestFirst("published_at") },
  sentiment: { key: (row) => row.timestamp, order: newestFirst("timestamp") },
};

export const coinKey = RULES.market.key;

function merge(rule, rows, changed, count) {
  const byKey = new Map(rows.map((row) => [rule.key(row), row]));
  for (const row of changed) byKey.set(rule.key(row), row);
  const ordered = [...byKey.values()].sort(rule.order); // stable
  return rule.keepsLast ? ordered.slice(-count) : ordered.slice(0, count);
}

// The rows of a channel (or its one object), their meta, and its error, staleness and tick feed.
// `expiredSince` is when figures were fetched that are too old to be shown: they are blanked.
export class Topic {
  constructor(channel) {
    this.rule = RULES[channel];
    this.clear();
  }

  clear() {
    this.seq = this.data = this.meta = this.error = null;
    this.staleReason = this.feed = this.expiredSince = null;
  }

  // Returns the changed rows (after a snapshot all), or null if an update is missing.
  apply(frame) {
    const isLost = !this.data || this.expiredSince || frame.seq !== this.seq + 1;
    if (frame.type === "update" && isLost) return null;
    const isWhole = frame.type === "snapshot" || !this.rule;
    this.data = isWhole
      ? frame.data
      : merge(this.rule, this.data, frame.data, frame.meta.count);
    this.seq = frame.seq;
    this.meta = frame.meta;
    this.error = this.expiredSince = null;
    if (!frame.meta?.stale) this.staleReason = null;
    else this.staleReason ??= frame.meta.stale_reason ?? "timeout";
    return Array.isArray(frame.data) ? frame.data : [frame.data];
  }

  // Applies an answer of REST, in place of the stream's messages. Throws if it has no rows.
  applyBody(body) {
    const data = rowsOf(body);
    this.staleReason = null;
    return this.apply({ type: "snapshot", seq: null, data, meta: body.meta });
  }

  // A request failed. The data of before remain and are stale, unless the gateway itself refuses
  // to show any.
  fail({ message, code, isRefusal }) {
    if (!this.data) this.setError(message);
    else if (isRefusal) this.expire(code);
    else this.staleReason = code ?? "timeout";
  }

  // What is shown is too old. False if there is nothing to blank.
  expire(code) {
    if (!this.data || this.expiredSince) return false;
    this.expiredSince = this.meta?.fetched_at ?? null;
    this.staleReason = this.feed = null;
    this.data = this.rule?.blank ? this.data.map(this.rule.blank) : null;
    this.setError(this.error ?? (reason(code) || "the last ones are too old"));
    return true;
  }

  setError(message) {
    const since = this.expiredSince && `No current figures since ${when(this.expiredSince)}: `;
    this.error = `${since ?? ""}${message}`;
  }
}
