// The state of one channel of the stream, and how an update changes it (docs/stream.md).

import { rowsOf } from "./access.js";

const byRank = (one, other) => {
  const [a, b] = [one.market_cap_rank ?? Infinity, other.market_cap_rank ?? Infinity];
  return a === b ? 0 : a - b;
};
const newestFirst = (name) => (one, other) =>
  one[name] === other[name] ? 0 : one[name] > other[name] ? -1 : 1;

// Of each channel with rows: the key of a row, the order of rows, and which rows stay.
const RULES = {
  market: { key: (row) => row.id ?? row.symbol, order: byRank },
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
export class Topic {
  constructor(channel) {
    this.rule = RULES[channel];
    this.clear();
  }

  clear() {
    this.seq = this.data = this.meta = this.error = null;
    this.staleReason = this.feed = null;
  }

  // Returns the changed rows (after a snapshot all), or null if an update is missing.
  apply(frame) {
    if (frame.type === "update" && (!this.data || frame.seq !== this.seq + 1)) return null;
    const isWhole = frame.type === "snapshot" || !this.rule;
    this.data = isWhole
      ? frame.data
      : merge(this.rule, this.data, frame.data, frame.meta.count);
    this.seq = frame.seq;
    this.meta = frame.meta;
    this.error = null;
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

  // A request failed: the data of before remain and are stale.
  fail({ message, code }) {
    if (this.data) this.staleReason = code ?? "timeout";
    else this.error = message;
  }
}
