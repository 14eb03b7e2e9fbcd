// The stream's messages: each goes to its topic, which is then drawn; and what has grown too old, or
// cannot be had, is blanked with the reason.

import { errorText } from "./format.js";
import { resetClock, now, syncClock } from "./state.js";

export class Messages {
  // `topics` are by channel, `draw` has a function of the changed rows for each, `isOther(frame)` tells
  // messages of another series, chain or currency than the present one, which may still arrive, and
  // `resubscribe(channel)` asks for a snapshot.
  constructor({ topics, draw, candles, isOther, resubscribe }) {
    Object.assign(this, { topics, draw, candles, isOther, resubscribe });
  }

  // Returns whether the message had data.
  receive(frame) {
    if (frame.op === "heartbeat" || frame.channel === "status") syncClock(frame.time);
    const topic = this.#topicOf(frame);
    if (!topic) return false;
    if (frame.op === "data") this.#applyData(topic, frame);
    else if (frame.op === "error") this.showError(frame.channel ?? frame.id, frame);
    else if (frame.op === "status") this.#applyState(topic, frame);
    else if (frame.op === "feed") topic.feed = frame;
    return frame.op === "data";
  }

  // An error names the channel, or the subscription by its id.
  #topicOf(frame) {
    const name = frame.channel ?? (frame.op === "error" ? frame.id : null);
    return Object.hasOwn(this.topics, name ?? "") && !this.isOther(name, frame) ? this.topics[name] : null;
  }

  #applyData(topic, frame) {
    const rows = topic.apply(frame);
    if (frame.channel === "status") topic.receivedAt = frame.time;
    if (rows === null) this.resubscribe(frame.channel); // an update is missing
    else this.draw[frame.channel](rows, frame.type === "snapshot");
  }

  #applyState(topic, { channel, state, reason }) {
    if (state !== "expired") topic.staleReason = state === "live" ? null : reason ?? "timeout";
    else this.#expire(channel, reason);
  }

  // Blanks figures that are too old to be shown.
  #expire(channel, reason) {
    const topic = this.topics[channel];
    if (!topic.expire(reason)) return;
    if (channel === "ohlc") this.candles.chart.clear(topic.error);
    else this.draw[channel](topic.data ?? [], false);
  }

  // Without a connection the page itself sees to it that nothing too old is shown.
  expireOld() {
    for (const [name, { max_stale_seconds: most }] of Object.entries(this.topics.status.data?.categories ?? {})) {
      const meta = this.topics[name]?.meta;
      if (meta && now() - Date.parse(meta.fetched_at) > most * 1_000) this.#expire(name, "connection_lost");
    }
  }

  // `error` is {message, code} of the stream or of REST.
  showError(channel, error) {
    if (channel === "ohlc") {
      this.candles.showError(error);
      return;
    }
    this.topics[channel].setError(errorText(error));
    this.draw[channel]([], false);
  }

  // In the place of "Waiting …" where there are no data: why nothing comes.
  showReason(reason) {
    for (const [name, topic] of Object.entries(this.topics)) {
      if (!topic.data) this.showError(name, { message: reason });
    }
  }

  // Back to "Waiting …" where one of these reasons is shown.
  forgetReasons(reasons) {
    for (const [name, topic] of Object.entries(this.topics)) {
      if (topic.data || !reasons.includes(topic.error)) continue;
      topic.error = null;
      if (name === "ohlc") this.candles.chart.clear("Waiting for candles …");
      else this.draw[name]([], false);
    }
  }

  // A new connection reports tick feeds and staleness again.
  reset() {
    resetClock();
    for (const topic of Object.values(this.topics)) topic.staleReason = topic.feed = null;
  }
}
