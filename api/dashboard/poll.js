// A REST answer that is read at once, and again when it expires, while the page is served and visible.

import { Locked, read } from "./access.js";
import { eachSecond } from "./render.js";
import { now } from "./state.js";

// Shortest time between two requests, also after a failure.
const SHORTEST_MS = 15_000;

const untilExpiry = ({ meta }) => Date.parse(meta?.expires_at) - now();

export class Poll {
  #path = null;
  #dueAt = 0;

  // `onAnswer(body)` and `onError(error)` get each result, but none of a path that was replaced.
  // `waitMs(body)` is the time until the next request; by default until the answer expires.
  constructor({ access, isReady, onLocked }, { onAnswer, onError, waitMs = untilExpiry }) {
    Object.assign(this, { access, isReady, onLocked, onAnswer, onError, waitMs });
    eachSecond(() => this.readIfDue());
  }

  // Reads `path` from now on; nothing if it is null.
  setPath(path) {
    this.#path = path;
    this.#dueAt = 0;
    this.readIfDue();
  }

  async readIfDue() {
    const path = this.#path;
    if (!path || !this.isReady() || Date.now() < this.#dueAt) return;
    this.#dueAt = Infinity; // until this request has ended
    let waitMs = 0;
    try {
      const body = await read(path, this.access);
      if (path !== this.#path) return;
      waitMs = this.waitMs(body);
      this.onAnswer(body);
    } catch (error) {
      if (path !== this.#path) return;
      waitMs = this.access.limitedUntil - Date.now();
      if (error instanceof Locked) this.onLocked();
      else this.onError(error);
    } finally {
      if (path === this.#path) this.#dueAt = Date.now() + Math.max(SHORTEST_MS, waitMs || 0);
    }
  }
}
