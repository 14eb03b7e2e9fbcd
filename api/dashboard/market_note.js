// The line above the market table: how its amounts were converted, and what is unknown.

import { byId, setText } from "./dom.js";
import { clock, price } from "./format.js";
import { USD } from "./currency.js";

// `error` says why the coin that was found by the search has no price.
export function showMarketNote(meta, currency, error) {
  const parts = [error, ...(currency === USD ? [] : conversion(meta ?? {}, currency))];
  const text = parts.filter(Boolean).join(" · ");
  byId("market-note").hidden = !text;
  setText(byId("market-note"), text);
}

function conversion({ fx, warnings }, currency) {
  const rate = fx ? `1 USD = ${price(fx.rate)} ${currency} by ${fx.source}, ${clock(fx.as_of)}` : "";
  return ["Amounts change with each refresh, not with ticks", rate, ...(warnings ?? [])];
}
