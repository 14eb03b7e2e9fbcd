// The addresses at which programs written for other services find the gateway: those of the
// protocols that it serves, which the page learns with the document.

import { copyText } from "./curl.js";
import { byId, el } from "./dom.js";

// The path of each protocol, and which programs use it. The names are those of FACADES.
const PROTOCOLS = {
  coingecko: ["CoinGecko", "coingecko/api/v3", "Programs written for CoinGecko's API: trackers, spreadsheets, pycoingecko"],
  binance: ["Binance", "binance", "Programs that read Binance's market data and streams: ccxt, python-binance, bots"],
  udf: ["TradingView UDF", "udf", "TradingView's charting library, as the address of its datafeed"],
  mcp: ["MCP", "mcp", "Assistants that use tools: Claude, editors, agents"],
};

export function showAddresses() {
  const served = byId("addresses").dataset.facades.split(" ").filter((name) => Object.hasOwn(PROTOCOLS, name));
  byId("addresses-list").replaceChildren(...served.map((name) => row(...PROTOCOLS[name])));
  byId("addresses").hidden = !served.length;
}

function row(title, path, programs) {
  const address = new URL(path, document.baseURI).href;
  const copy = el("button", { type: "button", class: "copy", "aria-label": `Copy the address for ${title}` }, "Copy");
  copy.addEventListener("click", () => copyText(copy, address, "The address"));
  const about = el("p", { class: "soft" }, programs);
  return el("li", {}, el("h3", {}, title), el("code", {}, address), copy, about);
}
