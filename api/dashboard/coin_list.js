// Which coins of the market are shown, in which order, and the request that gives the same ones.

import { setAttribute } from "./dom.js";

// Names and ranks sort ascending first, amounts descending.
const ASCENDING_FIRST = new Set(["market_cap_rank", "name"]);
// The most coins of one request.
const MAX_COINS = 250;

const isByRank = ({ field, ascending }) => field === "market_cap_rank" && ascending;

export function matches(coin, query) {
  if (!query) return true;
  return [coin.name, coin.symbol, coin.id].some((text) => text?.toLowerCase().includes(query));
}

// Equal values keep the gateway's order; unknown values are last in both directions.
export function sorted(coins, { field, ascending }) {
  if (isByRank({ field, ascending })) return coins; // the gateway's order
  const direction = ascending ? 1 : -1;
  return coins.sort((one, other) => {
    const [a, b] = [one[field] ?? null, other[field] ?? null];
    if (a === null || b === null) return (a === null) - (b === null);
    return direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
}

// The order after a click on the head of this field.
export function nextSort(sort, field) {
  return { field, ascending: sort.field === field ? !sort.ascending : ASCENDING_FIRST.has(field) };
}

// Marks the order in the table's head.
export function showSort({ field, ascending }) {
  for (const button of document.querySelectorAll("#market th button[data-field]")) {
    const order = button.dataset.field !== field ? "none" : ascending ? "ascending" : "descending";
    setAttribute(button.closest("th"), "aria-sort", order);
  }
}

// `keys` are of the shown coins; `isChosen`: they are not simply the first ones.
export function queryOf(keys, isChosen, sort) {
  const parts = [`limit=${Math.min(MAX_COINS, keys.length || 100)}`];
  if (isChosen && keys.length && keys.length <= MAX_COINS) {
    parts.push(`ids=${keys.map(encodeURIComponent).join(",")}`);
  }
  if (!isByRank(sort)) parts.push(`sort=${sort.ascending ? "" : "-"}${sort.field}`);
  return parts.join("&");
}
