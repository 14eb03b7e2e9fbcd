// The connection to the stream, by WebSocket or where none gets through by Server-Sent Events
// (event_socket.js): it keeps subscriptions, reconnects with exponential back-off and
// a random delay of up to a second, and pauses while the page is hidden.

import { explainLoss } from "./access.js";
import { EventSocket } from "./event_socket.js";

const FIRST_DELAY_MS = 1_500;
const MAX_DELAY_MS = 30_000;
// Silence of this many heartbeats means that the connection is lost.
const MAX_MISSED_HEARTBEATS = 2.5;
// A proxy may leave a handshake without an answer, or pass on no message.
const MAX_OPENING_MS = 8_000;
const NOT_AUTHORISED = 4401;
// The code of a connection that was not opened, or broke without a word.
const ABNORMAL = 1006;

function streamAddress() {
  const address = new URL("ws", document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = address.hash = "";
  return address.href;
}

export class Connection {
  #socket = null;
  #subscriptions = new Map();
  #retryTimer = 0;
  #silenceTimer = 0;
  #firstDelayMs = FIRST_DELAY_MS;
  #failures = 0;
  #lostAt = null;
  #heartbeatMs = 15_000;
  // Whether event streams are read in place of a WebSocket.
  #usesEvents = false;
  // Whether a message came by the present connection.
  #hasReceived = false;

  // `onMessage(frame)` gets each message. `onState({name, retryAt, why, since})` gets each change of
  // state: connecting, open, lost, locked (a key is required), paused.
  constructor(access, { onMessage, onState }) {
    Object.assign(this, { access, onMessage, onState });
  }

  // Replaces the subscription of this name, if there is one.
  subscribe(name, subscription) {
    const before = this.#subscriptions.get(name);
    this.#subscriptions.set(name, subscription);
    if (before) this.#send({ op: "unsubscribe", ...before });
    this.#send({ op: "subscribe", ...subscription });
  }

  unsubscribe(name) {
    const before = this.#subscriptions.get(name);
    this.#subscriptions.delete(name);
    if (before) this.#send({ op: "unsubscribe", ...before });
  }

  // Subscribes again, to get a snapshot.
  resubscribe(name) {
    if (this.#subscriptions.has(name)) this.subscribe(name, this.#subscriptions.get(name));
  }

  open() {
    this.close();
    this.onState({ name: "connecting" });
    this.#hasReceived = false;
    const socket = (this.#socket = this.#newSocket());
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#received(JSON.parse(event.data));
    socket.onclose = (event) => this.#closed(event);
    this.#restartSilenceTimer();
  }

  #newSocket() {
    if (this.#usesEvents) return new EventSocket(this.access, this.#subscriptions.values());
    return new WebSocket(streamAddress());
  }

  close() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    clearTimeout(this.#silenceTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  pause() {
    this.close();
    this.onState({ name: "paused" });
  }

  lock() {
    this.close();
    this.onState({ name: "locked" });
  }

  // Call this when data came: the next loss starts with the shortest delay.
  resetBackoff() {
    this.#failures = 0;
    this.#lostAt = null;
  }

  #opened() {
    if (this.access.key) this.#send({ op: "auth", key: this.access.key });
    for (const subscription of this.#subscriptions.values()) {
      this.#send({ op: "subscribe", ...subscription });
    }
    this.onState({ name: "open" });
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #received(frame) {
    if (frame.op === "hello") this.#heartbeatMs = frame.heartbeat_seconds * 1_000;
    if (frame.op === "shutdown") this.#firstDelayMs = frame.reconnect_after_ms;
    this.#hasReceived = true;
    this.#restartSilenceTimer();
    if (frame.op === "error" && frame.code === "unauthorized") this.lock();
    else this.onMessage(frame);
  }

  // A broken connection may not report its end.
  #restartSilenceTimer() {
    clearTimeout(this.#silenceTimer);
    const mostMs = this.#hasReceived ? MAX_MISSED_HEARTBEATS * this.#heartbeatMs : MAX_OPENING_MS;
    this.#silenceTimer = setTimeout(() => this.#closed({ code: ABNORMAL, reason: "the gateway is silent" }), mostMs);
  }

  #closed(event) {
    this.close();
    if (event.code === NOT_AUTHORISED) this.lock();
    else this.#reconnect(closeReason(event));
    if (event.code === ABNORMAL) this.#explainLoss(this.#retryTimer);
  }

  // A browser does not say why no connection can be opened.
  async #explainLoss(retryTimer) {
    const isUseless = !this.#hasReceived;
    const found = await explainLoss(this.access);
    if (found?.isLocked) this.lock();
    else if (found && this.#retryTimer === retryTimer) this.#heed(found, isUseless); // else it is tried again
  }

  #heed(found, isUseless) {
    if (found.isReachable) {
      if (isUseless) this.#useOther();
      return;
    }
    clearTimeout(this.#retryTimer);
    this.#retryIn(found.waitMs + Math.random() * 1_000, found.why);
  }

  // Requests are answered, but nothing came this way. The first change to events waits for nothing.
  #useOther() {
    this.#usesEvents = !this.#usesEvents;
    if (this.#usesEvents && this.#failures === 1) this.open();
  }

  #reconnect(why) {
    const delayMs = Math.min(MAX_DELAY_MS, this.#firstDelayMs * 2 ** this.#failures);
    this.#failures += 1;
    this.#lostAt ??= new Date().toISOString();
    this.#retryIn(delayMs + Math.random() * 1_000, why);
  }

  #retryIn(waitMs, why) {
    this.#retryTimer = setTimeout(() => this.open(), waitMs);
    this.onState({ name: "lost", why, since: this.#lostAt, retryAt: Date.now() + waitMs });
  }
}

function closeReason({ code, reason }) {
  if (code === 1001 || code === 1012) return "the gateway stopped";
  if (code === 1013) return "the gateway has too many stream clients";
  return reason || "the gateway cannot be reached";
}
