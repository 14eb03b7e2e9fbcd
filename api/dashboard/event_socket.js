// The stream by Server-Sent Events, for networks that let no WebSocket through. To Connection it is
// a WebSocket: what it would send there decides which event streams are read. Not an EventSource,
// which cannot send a gateway key.

const UNAUTHORIZED = 401;
const CLOSED_UNAUTHORISED = 4401;
const ABNORMAL = 1006;
// One stream has one list of symbols, so candles have a stream of their own.
const groupOf = ({ channel }) => (channel === "ohlc" ? "ohlc" : "others");

export class EventSocket {
  readyState = WebSocket.CONNECTING;
  onopen = null;
  onmessage = null;
  onclose = null;
  #subscriptions = new Map();
  // Of each group: {query, controller} of the stream that is read.
  #streams = new Map();
  #timer = 0;

  // `subscriptions` are those that Connection has already.
  constructor(access, subscriptions) {
    this.access = access;
    for (const one of subscriptions) this.#subscriptions.set(one.channel, one);
    this.#timer = setTimeout(() => this.#readAll());
  }

  send(text) {
    const { op, ...subscription } = JSON.parse(text);
    if (op === "subscribe") this.#subscriptions.set(subscription.channel, subscription);
    else if (op === "unsubscribe") this.#remove(subscription);
    else return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#readAll());
  }

  // Who subscribes again wants a snapshot, also of the same.
  #remove(subscription) {
    this.#subscriptions.delete(subscription.channel);
    const stream = this.#streams.get(groupOf(subscription));
    if (stream) stream.query = "";
  }

  close() {
    this.readyState = WebSocket.CLOSED;
    clearTimeout(this.#timer);
    for (const { controller } of this.#streams.values()) controller.abort();
    this.#streams.clear();
  }

  // Changed groups are read anew, and begin with snapshots.
  #readAll() {
    for (const group of ["others", "ohlc"]) {
      const query = queryOf([...this.#subscriptions.values()].filter((one) => groupOf(one) === group));
      const before = this.#streams.get(group);
      if (before?.query === query) continue;
      before?.controller.abort();
      this.#streams.delete(group);
      if (query) this.#read(group, query);
    }
  }

  async #read(group, query) {
    const controller = new AbortController();
    this.#streams.set(group, { query, controller });
    let close = { code: ABNORMAL };
    try {
      close = await this.#follow(group, query, controller.signal);
    } catch {
      // the connection broke, or was never there
    }
    if (!controller.signal.aborted) this.#end(close);
  }

  // Until the stream ends.
  async #follow(group, query, signal) {
    const headers = this.access.key ? { "X-API-Key": this.access.key } : {};
    const url = new URL(`api/stream?${query}`, document.baseURI);
    const response = await fetch(url, { headers, credentials: "omit", cache: "no-store", signal });
    if (response.status === UNAUTHORIZED) return { code: CLOSED_UNAUTHORISED };
    if (!response.ok) return this.#refused(group, await response.json());
    this.#opened();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { code: ABNORMAL };
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) this.#received(group, event);
    }
  }

  // Candles that cannot be had end nothing else.
  #refused(group, { code, detail }) {
    if (group === "others") return { code: ABNORMAL, reason: detail };
    this.onmessage?.({ data: JSON.stringify({ op: "error", id: group, code, message: detail }) });
    return null;
  }

  #opened() {
    if (this.readyState !== WebSocket.CONNECTING) return;
    this.readyState = WebSocket.OPEN;
    this.onopen?.();
  }

  // An error without a channel names its subscription by the id, which event streams have not.
  #received(group, event) {
    const lines = event.split("\n").filter((line) => line.startsWith("data:"));
    if (!lines.length) return;
    const frame = JSON.parse(lines.map((line) => line.slice(5)).join("\n"));
    if (frame.op === "error" && group === "ohlc") frame.id = group;
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  #end(close) {
    if (!close || this.readyState === WebSocket.CLOSED) return;
    const { onclose } = this;
    this.close();
    onclose?.({ reason: "", ...close });
  }
}

// The query of an event stream; empty without subscriptions.
function queryOf(subscriptions) {
  if (!subscriptions.length) return "";
  const query = new URLSearchParams({ channels: subscriptions.map(({ channel }) => channel).sort().join(",") });
  for (const { symbols, interval, chain } of subscriptions) {
    if (symbols) query.set("symbols", symbols.join(","));
    if (interval) query.set("interval", interval);
    if (chain) query.set("chain", chain);
  }
  return query.toString();
}
