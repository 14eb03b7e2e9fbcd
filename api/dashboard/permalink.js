// The selected coin and interval in the page's address, `#coin=bitcoin&interval=4h`, and remembered
// in this browser. The address comes first: it may be a link of somebody else.

import { remember, remembered } from "./storage.js";

const MAX_LENGTH = 128; // of a coin's id or symbol
const KEY = "chart";

// {coin, interval} of the address, or else the remembered ones; null where there is none.
export function wanted() {
  const [address, memory] = [fragment(location.hash.slice(1)), fragment(remembered(KEY) ?? "")];
  return { coin: address.coin ?? memory.coin, interval: address.interval ?? memory.interval };
}

// What the address alone says.
export const addressed = () => fragment(location.hash.slice(1));

function fragment(text) {
  const found = new URLSearchParams(text);
  const coin = found.get("coin")?.trim() || null;
  return { coin: coin && coin.length <= MAX_LENGTH ? coin : null, interval: found.get("interval") };
}

export function keep({ coin, interval }) {
  const text = new URLSearchParams({ coin, interval }).toString();
  remember(KEY, text);
  try {
    history.replaceState(null, "", `#${text}`);
  } catch {
    // a browser refuses a hundred changes within half a minute
  }
}
