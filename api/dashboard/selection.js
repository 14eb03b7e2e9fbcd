// The coin that the reader has chosen: one of the list, or one beyond it that the search or the page's
// address names, which is read by itself.

import { rowsOf } from "./access.js";
import { currencyQuery, USD } from "./currency.js";
import { byId, isNarrow, prefersReducedMotion, setAttribute, setText } from "./dom.js";
import * as permalink from "./permalink.js";
import { Market } from "./market.js";
import { Sparklines } from "./sparklines.js";
import { coinKey, withoutFigures } from "./topic.js";
import { Watchlist } from "./watchlist.js";

export class Selection {
  // The selected coin, or null.
  coin = null;
  // Why the coin beyond the list has no price.
  error = "";
  #currency = USD;
  #foundId = null;
  // The request of the watched coins beyond the list.
  #beyondPath = null;

  // `topic` is that of the market; `newPoll(handlers)` makes a Poll; `onError()` runs when `error`
  // has changed.
  constructor({ topic, candles, newPoll, onError }) {
    Object.assign(this, { topic, candles, onError });
    this.watchlist = new Watchlist(() => this.#watchlistChanged());
    this.market = new Market({
      topic,
      sparklines: new Sparklines(newPoll, () => this.market.draw()),
      watchlist: this.watchlist,
      onSelect: (coin) => this.#choose(coin),
      onView: () => this.#readBeyond(),
    });
    this.foundPoll = newPoll({
      onAnswer: ({ data }) => this.#found(data),
      onError: (error) => this.#foundFailed(error),
    });
    // Without an answer the rows of these coins have no figures.
    this.beyondPoll = newPoll({
      onAnswer: (body) => this.market.showBeyond(rowsOf(body)),
      onError: () => {},
    });
    byId("watch").addEventListener("click", () => this.watchlist.toggle(this.coin));
    addEventListener("hashchange", () => this.#addressChanged());
  }

  // The market's `rows` have changed.
  draw(rows) {
    this.market.draw();
    const { data, error } = this.topic;
    if (!this.coin && data?.length) this.#selectWanted(data);
    else this.#selectAgain(data ?? []);
    if (!this.coin && error) this.candles.showError({ message: `No coins are known: ${error}` });
    this.#readBeyond();
    this.#showIfSelected(rows);
  }

  setCurrency(code) {
    this.#currency = code;
    this.market.setCurrency(code);
    this.#readFound();
    if (!this.coin) return;
    this.coin = withoutFigures(this.coin); // its amounts are in the currency before
    this.#show(this.coin);
  }

  // Selects a coin by what the search knows of it.
  choose(coin) {
    this.#find(coin);
    this.keep();
    if (isNarrow.matches) showChart();
  }

  // What the reader chooses is remembered, and is in the page's address.
  keep() {
    if (this.coin) permalink.keep({ coin: coinKey(this.coin), interval: this.candles.interval });
  }

  #choose(coin) {
    if (this.#listed(coinKey(coin)) || coinKey(coin) === this.#foundId) this.#select(coin);
    else this.#follow(coin);
    this.keep();
    if (isNarrow.matches) showChart();
  }

  #select(coin) {
    this.coin = coin;
    this.market.select(coinKey(coin));
    this.#show(coin);
    this.#showWatch();
  }

  #show(coin) {
    this.candles.chart.showCoin(coin, this.#currency);
    this.candles.show(coin, coinKey(coin) !== this.#foundId, this.#currency);
  }

  #showIfSelected(rows) {
    const update = this.coin && rows.find((coin) => coin && coinKey(coin) === coinKey(this.coin));
    if (update) this.candles.chart.showCoin((this.coin = update), this.#currency);
  }

  // Selects the coin of the page's address, or the remembered one, or the first.
  #selectWanted(coins) {
    const { coin: name } = permalink.wanted();
    if (!name) this.#select(coins[0]);
    else this.#selectNamed(name, coins);
  }

  // The first rows may have no ids yet: the selected coin is then known by its symbol.
  #selectAgain(coins) {
    if (!this.coin || this.coin.id) return;
    const found = coins.find(({ id, symbol }) => id && symbol === this.coin.symbol);
    if (found) this.#select(found);
  }

  #selectNamed(name, coins) {
    const coin = coins.find((one) => coinKey(one) === name) ?? coins.find(({ symbol }) => symbol === name.toUpperCase());
    if (coin) this.#select(coin);
    else this.#find({ id: name, symbol: name.toUpperCase(), name });
  }

  #addressChanged() {
    const { coin, interval } = permalink.addressed();
    if (interval) this.candles.press(interval);
    if (coin && this.topic.data) this.#selectNamed(coin, this.topic.data);
  }

  #showWatch() {
    const button = byId("watch");
    const isWatched = this.watchlist.has(coinKey(this.coin));
    button.disabled = false;
    setAttribute(button, "aria-pressed", String(isWatched));
    setAttribute(button, "aria-label", `Watch ${this.coin.name ?? this.coin.symbol}`);
    setText(button, isWatched ? "★" : "☆");
  }

  #watchlistChanged() {
    this.market.draw();
    this.#readBeyond();
    if (this.coin) this.#showWatch();
  }

  // Reads the watched coins that are not in the list, while they are shown.
  #readBeyond() {
    const ids = this.market.wantedIds.map(encodeURIComponent).join(",");
    const path = ids ? `api/market?ids=${ids}&limit=250${currencyQuery(this.#currency, "&")}` : null;
    if (path !== this.#beyondPath) this.beyondPoll.setPath((this.#beyondPath = path));
  }

  #listed(key) {
    return this.topic.data?.find((coin) => coinKey(coin) === key);
  }

  #find({ id, symbol, name }) {
    const coin = this.#listed(id);
    this.market.clearFilter();
    if (!coin) {
      this.#follow({ id, symbol, name });
      return;
    }
    this.#foundId = null;
    this.market.showFound(coin);
    this.#select(coin);
    this.#readFound();
  }

  // Selects a coin beyond the list.
  #follow(coin) {
    this.#foundId = coinKey(coin);
    this.market.showFound(coin);
    this.#select(coin);
    this.#readFound();
  }

  #readFound() {
    this.#setError("");
    const id = this.#foundId;
    this.foundPoll.setPath(id && `api/market/${encodeURIComponent(id)}${currencyQuery(this.#currency, "?")}`);
  }

  #found(coin) {
    this.#setError("");
    if (coinKey(coin) === this.#foundId) this.#drawFound(coin);
    else this.#find(coin); // it was asked for by its symbol
  }

  #drawFound(coin) {
    this.market.showFound(coin);
    this.#showIfSelected([coin]);
  }

  #foundFailed({ message, isRefusal }) {
    this.#setError(`No price of ${this.#foundId}: ${message}`);
    if (isRefusal) this.#drawFound(withoutFigures(this.market.coin(this.#foundId)));
  }

  #setError(text) {
    this.error = text;
    this.onError();
  }
}

// Where the panels are below each other, the chart may be far from the row.
function showChart() {
  const behavior = prefersReducedMotion.matches ? "auto" : "smooth";
  byId("candles").scrollIntoView({ block: "start", behavior });
}
