// Figures of the whole market. Without any, the bar says why.

import { byId, setAttribute, setText } from "./dom.js";
import { exactIfCut, large, percent, share } from "./format.js";
import { setTip } from "./tip.js";

// `data` is a GlobalMarket in `currency`, or null with the reason `why`.
export function showGlobal(data, currency, why) {
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
