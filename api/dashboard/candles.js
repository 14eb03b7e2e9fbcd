// Where the candles of the selected coin come from: from the stream in USD, or by REST in another
// currency or for a coin beyond the stream's list. A currency without a book shows candles in USD.

import { Chart } from "./chart.js";
import { setAttribute } from "./dom.js";
import { BOOK_CURRENCIES, currencyQuery, USD } from "./currency.js";
import { errorText, sentence } from "./format.js";
import { setTip } from "./tip.js";
import { coinKey } from "./topic.js";

const intervalButtons = () => [...document.querySelectorAll("#intervals button")];

export class Candles {
  interval = "1h";
  #coin = null;
  #isListed = true;
  #wanted = USD;
  // The currency of the candles.
  #currency = USD;

  constructor(topic, connection, newPoll) {
    this.topic = topic;
    this.connection = connection;
    this.chart = new Chart(topic);
    this.poll = newPoll({
      onAnswer: (body) => this.#draw(this.topic.applyBody(body)),
      onError: (error) => this.#failed(error),
    });
  }

  // `isListed`: the stream has candles of this coin.
  show(coin, isListed, currency) {
    this.#coin = coin;
    this.#isListed = isListed;
    this.#wanted = currency;
    this.#setAvailable(null);
    this.#start();
  }

  setInterval(interval) {
    this.interval = interval;
    if (this.#coin) this.#start();
  }

  // Presses the button of the interval; nothing for an interval that has none.
  press(interval) {
    const buttons = intervalButtons();
    if (interval === this.interval || !buttons.some((one) => one.textContent === interval)) return;
    for (const one of buttons) setAttribute(one, "aria-pressed", String(one.textContent === interval));
    this.setInterval(interval);
  }

  // `job()` runs after the reader has pressed a button.
  onPress(job) {
    for (const button of intervalButtons()) {
      button.addEventListener("click", () => {
        if (button.ariaDisabled === "true") return;
        this.press(button.textContent);
        job();
      });
    }
  }

  // The address of the candles; of Bitcoin's before a coin is selected.
  get path() {
    const symbol = encodeURIComponent(this.#coin ? coinKey(this.#coin) : "BTC");
    return `api/market/ohlc?symbol=${symbol}&interval=${this.interval}${currencyQuery(this.#currency, "&")}`;
  }

  // Whether the stream's message is of the selected series: those of the one before may still arrive.
  isOf({ id, symbol, interval }) {
    return this.#isStreamed && this.#coin && [id, symbol].includes(coinKey(this.#coin)) && interval === this.interval;
  }

  get #isStreamed() {
    return this.#isListed && this.#currency === USD;
  }

  #start() {
    const hasBooks = BOOK_CURRENCIES.includes(this.#wanted);
    if (hasBooks) this.#startIn(this.#wanted, "");
    else this.#startIn(USD, `Candles in USD: venues have no books in ${this.#wanted}.`);
  }

  #startIn(currency, note) {
    this.#currency = currency;
    this.topic.clear();
    const id = coinKey(this.#coin);
    this.chart.setSeries({ id, symbol: this.#coin.symbol, interval: this.interval, note });
    this.poll.setPath(this.#isStreamed ? null : this.path);
    const subscription = { id: "ohlc", channel: "ohlc", symbols: [id], interval: this.interval };
    if (this.#isStreamed) this.connection.subscribe("ohlc", subscription);
    else this.connection.unsubscribe("ohlc");
  }

  #draw(rows) {
    this.chart.draw(rows, true);
  }

  // An error of the stream or of REST: {message, code, parameter, available}.
  showError({ code, message, parameter, available }) {
    const isInterval = parameter === "interval" && available?.length > 0;
    if (isInterval) this.#setAvailable(available);
    const missing = `No provider has ${this.interval} candles of ${this.#coin?.symbol}; available: ${available?.join(", ")}`;
    this.topic.setError(isInterval ? missing : errorText({ code, message }));
    this.chart.showError(sentence(this.topic.error));
  }

  // Marks the intervals that nobody can serve; null: none is known to be one.
  #setAvailable(intervals) {
    for (const button of intervalButtons()) {
      const isAvailable = !intervals || intervals.includes(button.textContent);
      setAttribute(button, "aria-disabled", String(!isAvailable));
      const symbol = this.#coin?.symbol ?? "this coin";
      setTip(button, isAvailable ? "" : `No provider has candles of ${button.textContent} for ${symbol}`);
    }
  }

  #failed(error) {
    if (!this.topic.data && this.#currency !== USD) {
      this.#startIn(USD, `Candles in USD: none in ${this.#currency} (${error.message}).`);
      return;
    }
    this.topic.fail(error);
    this.showError(error);
  }
}
