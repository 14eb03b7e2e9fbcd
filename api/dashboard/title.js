// The price of the selected coin in the title of the tab. A hidden tab has no stream: it reads the one
// price once a minute, and shows none that is not current.

import { read } from "./access.js";
import { currencyQuery } from "./currency.js";
import { price } from "./format.js";
import { eachSecond } from "./render.js";
import { coinKey } from "./topic.js";

const NAME = document.title;
const HIDDEN_MS = 60_000;
let shown = null;
let shownCurrency = "";

const isHidden = () => document.visibilityState !== "visible";

export function showInTitle(coin, currency) {
  [shown, shownCurrency] = [coin, currency];
}

// `isCurrent()` tells whether a visible tab gets new prices.
export function keepTitle(access, isCurrent) {
  const show = () => showTitle(isHidden() || isCurrent());
  eachSecond(show);
  document.addEventListener("visibilitychange", show);
  setInterval(async () => {
    if (isHidden() && shown) await readShown(access);
    show();
  }, HIDDEN_MS);
}

function showTitle(isCurrent) {
  if (!shown) return;
  const figure = isCurrent && shown.price != null ? ` ${price(shown.price)} ${shownCurrency}` : "";
  const title = `${shown.symbol ?? shown.name}${figure} · ${NAME}`;
  if (document.title !== title) document.title = title;
}

async function readShown(access) {
  const coin = shown;
  const found = await currentPrice(coin, access);
  if (shown === coin && isHidden()) shown = { ...coin, price: found };
}

// Null where there is no current one.
async function currentPrice(coin, access) {
  try {
    const path = `api/market/${encodeURIComponent(coinKey(coin))}${currencyQuery(shownCurrency, "?")}`;
    const { data, meta } = await read(path, access);
    return meta.stale ? null : data.price;
  } catch {
    return null;
  }
}
