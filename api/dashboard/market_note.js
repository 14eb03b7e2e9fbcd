// The line above the market table: why it shows no figures, and how amounts were converted.

import { byId, setText } from "./dom.js";
import { clock, price } from "./format.js";
import { providerName } from "./names.js";
import { USD } from "./currency.js";

// `errors` say why figures are missing: those of the list, or of the coin that the search found.
export function showMarketNote(meta, currency, errors) {
  const parts = [...errors, ...(currency === USD ? [] : conversion(meta ?? {}, currency))];
  const text = parts.filter(Boolean).join(" · ");
  byId("market-note").hidden = !text;
  setText(byId("market-note"), text);
}

function conversion({ fx }, currency) {
  const rate = fx ? `1 USD = ${price(fx.rate)} ${currency} by ${providerName(fx.source)}, ${clock(fx.as_of)}` : "";
  return ["Amounts change with each refresh, not with each trade", rate];
}
