// The socket's life: it follows what it is told to follow, comes back when it is lost, with a
// growing pause and a random second of its own, and rests while nobody looks.

const FIRST_PAUSE_MS = 1_500;
const LONGEST_PAUSE_MS = 30_000;
const HEARTBEATS_MISSED = 2.5;
const NOT_AUTHORISED = 4401;

export function streamAddress() {
  const address = new URL("ws", document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.search = address.hash = "";
  return address.href;
}

export class Connection {
  #socket = null;
  #followed = new Map();
  #timer = 0;
  #watch = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #failures = 0;
  #heartbeatMs = 15_000;

  // `hear(frame)` gets each message; `turn({name, retryAt, why})` each change of state: connecting,
  // open, lost, locked (a key is wanted), paused.
  constructor(access, hear, turn) {
    this.access = access;
    this.hear = hear;
    this.turn = turn;
  }

  // `name` stands for the subscription: another one of that name takes its place.
  follow(name, subscription) {
    const before = this.#followed.get(name);
    this.#followed.set(name, subscription);
    if (before) this.#say({ op: "unsubscribe", ...before });
    this.#say({ op: "subscribe", ...subscription });
  }

  again(name) {
    if (this.#followed.has(name)) this.follow(name, this.#followed.get(name));
  }

  open() {
    this.close();
    this.turn({ name: "connecting" });
    const socket = (this.#socket = new WebSocket(streamAddress()));
    socket.onopen = () => this.#begin();
    socket.onmessage = (event) => this.#take(JSON.parse(event.data));
    socket.onclose = (event) => this.#lose(event);
    this.#listenFor(HEARTBEATS_MISSED);
  }

  close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  pause() {
    this.close();
    this.turn({ name: "paused" });
  }

  lock(why) {
    this.close();
    this.turn({ name: "locked", why });
  }

  // Data came: the next loss starts with the shortest pause again.
  settle() {
    this.#failures = 0;
  }

  #begin() {
    if (this.access.key) this.#say({ op: "auth", key: this.access.key });
    for (const subscription of this.#followed.values()) {
      this.#say({ op: "subscribe", ...subscription });
    }
    this.turn({ name: "open" });
  }

  #say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #take(frame) {
    if (frame.op === "hello") this.#heartbeatMs = frame.heartbeat_seconds * 1_000;
    if (frame.op === "shutdown") this.#pauseMs = frame.reconnect_after_ms;
    this.#listenFor(HEARTBEATS_MISSED);
    if (frame.op === "error" && frame.code === "unauthorized") this.lock("The gateway asks for a key.");
    else this.hear(frame);
  }

  // A connection may be dead without a word: silence for so many heartbeats is a loss.
  #listenFor(heartbeats) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      this.close();
      this.#retry("the gateway went silent");
    }, heartbeats * this.#heartbeatMs);
  }

  #lose(event) {
    this.close();
    if (event.code === NOT_AUTHORISED) this.lock("The gateway asks for a key.");
    else this.#retry(whyClosed(event));
  }

  #retry(why) {
    const grown = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2 ** this.#failures);
    this.#failures += 1;
    const waitMs = grown + Math.random() * 1_000;
    this.#timer = setTimeout(() => this.open(), waitMs);
    this.turn({ name: "lost", why, retryAt: Date.now() + waitMs });
  }
}

function whyClosed({ code, reason }) {
  if (code === 1001 || code === 1012) return "the gateway stopped";
  if (code === 1013) return "the gateway has too many readers";
  return reason || "the gateway cannot be reached";
}
