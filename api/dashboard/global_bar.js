// Figures of the whole market. Without any, the bar says why.

import { byId, setAttribute, setText } from "./dom.js";
import { exactIfCut, large, percent, share } from "./format.js";
import { USD } from "./currency.js";
import { onFrame } from "./render.js";
import { now } from "./state.js";
import { setTip } from "./tip.js";

export class GlobalBar {
  #meta = null;
  #isExpired = false;

  show({ data, meta }) {
    this.#meta = meta;
    this.#isExpired = false;
    onFrame("global", () => showGlobal(data, meta?.currency ?? USD));
  }

  // The figures stay, unless the gateway itself refuses to show any.
  fail({ message, isRefusal }) {
    if (isRefusal || (!this.#meta && !this.#isExpired)) this.#blank(message);
  }

  // Blanks figures that are older than so many seconds.
  expire(seconds) {
    const fetchedAt = Date.parse(this.#meta?.fetched_at);
    if (!(now() - fetchedAt > seconds * 1_000)) return;
    this.#isExpired = true;
    this.#blank("the last figures are too old");
  }

  #blank(why) {
    this.#meta = null;
    onFrame("global", () => showGlobal(null, USD, `Whole market: ${why}`));
  }
}

// `data` is a GlobalMarket in `currency`, or null with the reason `why`.
function showGlobal(data, currency, why) {
  byId("global-figures").hidden = !data;
  setText(byId("global-why"), data ? "" : why);
  if (!data) return;
  const change = data.market_cap_change_percentage_24h;
  showMoney(byId("global-cap"), data.market_cap, currency);
  setText(byId("global-change"), percent(change));
  setAttribute(byId("global-change"), "data-sign", String(Math.sign(change ?? 0)));
  showMoney(byId("global-volume"), data.volume_24h, currency);
  setText(byId("global-btc"), share(data.btc_dominance));
  setText(byId("global-eth"), share(data.eth_dominance));
}

function showMoney(node, value, currency) {
  const text = large(value);
  setText(node, typeof value === "number" ? `${text} ${currency}` : text);
  const all = exactIfCut(value, text);
  setTip(node, all && `${all} ${currency}`);
}
