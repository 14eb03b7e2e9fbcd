// The figures of the selected coin beside its chart.

import { byId, setAttribute, setText } from "./dom.js";
import { DASH, exact, exactIfCut, large, percent, price } from "./format.js";
import { providerName } from "./names.js";
import { eachSecond } from "./render.js";
import { ageOf } from "./state.js";
import { setTip } from "./tip.js";

let shown = null;
let shownCurrency = "";

export function showDetail(coin, currency) {
  [shown, shownCurrency] = [coin, currency];
  showRange(coin);
  showChange(byId("detail-hour"), coin.price_change_percentage_1h);
  showChange(byId("detail-week"), coin.price_change_percentage_7d);
  showAmount(byId("detail-cap"), coin.market_cap, currency);
  showAmount(byId("detail-volume"), coin.volume_24h, currency);
  showAmount(byId("detail-supply"), coin.circulating_supply, coin.symbol);
  setText(byId("detail-source"), coin.source ? providerName(coin.source) : DASH);
  setTip(byId("detail-source"), coin.source);
  showAge();
}

function showRange({ low_24h: low, high_24h: high }) {
  const isKnown = low != null || high != null;
  setText(byId("detail-range"), isKnown ? `${price(low)} – ${price(high)}` : DASH);
  setTip(byId("detail-range"), isKnown && `${exact(low)} – ${exact(high)} ${shownCurrency}`);
}

function showAmount(node, value, unit) {
  const text = large(value);
  const all = exactIfCut(value, text);
  setText(node, value == null ? text : `${text} ${unit}`);
  setTip(node, value != null && all && `${all} ${unit}`);
}

function showChange(node, change) {
  setText(node, percent(change));
  setAttribute(node, "data-sign", String(Math.sign(change ?? 0)));
}

function showAge() {
  if (!shown) return;
  setText(byId("detail-age"), shown.last_updated ? `${ageOf(shown.last_updated)} ago` : DASH);
}

eachSecond(showAge);
