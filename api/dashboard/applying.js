// How an update is applied, as docs/stream.md tells every client.

const byRank = (one, other) => {
  const [a, b] = [one.market_cap_rank ?? Infinity, other.market_cap_rank ?? Infinity];
  return a === b ? 0 : a - b;
};
const newestFirst = (name) => (one, other) =>
  one[name] === other[name] ? 0 : one[name] > other[name] ? -1 : 1;

// What tells a channel's rows apart, what orders them, which of them stay.
const RULES = {
  market: { key: (row) => row.id ?? row.symbol, order: byRank },
  ohlc: { key: (row) => row.timestamp, order: (a, b) => a.timestamp - b.timestamp, keepsLast: true },
  news: { key: (row) => row.id, order: newestFirst("published_at") },
  sentiment: { key: (row) => row.timestamp, order: newestFirst("timestamp") },
};

export const coinKey = RULES.market.key;

function merged(rule, rows, changed, count) {
  const byKey = new Map(rows.map((row) => [rule.key(row), row]));
  for (const row of changed) byKey.set(rule.key(row), row);
  const ordered = [...byKey.values()].sort(rule.order); // stable
  return rule.keepsLast ? ordered.slice(-count) : ordered.slice(0, count);
}

// One topic as it stands: its rows (or its one object), their meta, and what is said about it.
export class Topic {
  constructor(channel) {
    this.rule = RULES[channel];
    this.clear();
  }

  clear() {
    this.seq = this.data = this.meta = this.error = null;
    this.staleReason = this.feed = null;
  }

  // The rows that changed, all of them after a snapshot; null where an update is missing.
  take(frame) {
    if (frame.type === "update" && frame.seq !== this.seq + 1) return null;
    const isWhole = frame.type === "snapshot" || !this.rule;
    this.data = isWhole
      ? frame.data
      : merged(this.rule, this.data, frame.data, frame.meta.count);
    this.seq = frame.seq;
    this.meta = frame.meta;
    this.error = null;
    if (!frame.meta?.stale) this.staleReason = null;
    else this.staleReason ??= frame.meta.stale_reason ?? "timeout";
    return Array.isArray(frame.data) ? frame.data : [frame.data];
  }
}
