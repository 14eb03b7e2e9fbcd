// How many coins the market table shows, and in the place of rows why there are none.

import { byId, setText } from "./dom.js";

// Of `all` coins `found` match, of which `visible` are shown; `next` would be shown on request.
export function showCount({ visible, found, all, isFiltered, next }) {
  const matching = `${found} of ${all} match${found > visible ? `, ${visible} shown` : ""}`;
  setText(byId("market-count"), all ? (isFiltered ? matching : `${visible} of ${all} coins`) : "");
  byId("market-more").hidden = visible >= found;
  setText(byId("market-more"), `Show ${next} coins`);
}

export function showEmpty({ visible, all, isWatchlistEmpty, error }) {
  byId("market-empty").hidden = visible > 0;
  setText(byId("market-empty"), emptyText(all, isWatchlistEmpty, error));
  // While the first rows are awaited their place is kept.
  byId("market").classList.toggle("is-empty", Boolean(all ? !visible : error));
}

function emptyText(all, isWatchlistEmpty, error) {
  if (isWatchlistEmpty) return "No coin is watched: the star of a row adds its coin.";
  if (all) return "No coin matches.";
  return error ? `No prices: ${error}` : "Waiting for the first prices …";
}
