// The candles and volume of the selected coin, drawn by TradingView's Lightweight Charts. Updates
// of the stream change the last candle.

import { addScaleSwitch } from "./chart_tools.js";
import { showDetail } from "./coin_detail.js";
import { byId, setAttribute, setText } from "./dom.js";
import { DASH, decimals, exactIfCut, large, percent, price } from "./format.js";
import { onFrame } from "./render.js";
import { CHART_TIMES, dateAndTime, onTimeZone } from "./time_zone.js";
import { setTip } from "./tip.js";
import { showInTitle } from "./title.js";

const CHART_OPTIONS = {
  autoSize: true,
  timeScale: { timeVisible: true, rightOffset: 4, borderVisible: false },
  handleScroll: { vertTouchDrag: false }, // a finger that moves up scrolls the page
};
const LINEAR = 0;
const LOGARITHMIC = 1;
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  #chart = null;
  #candles = null;
  #volume = null;
  // Rows to draw in the next frame.
  #changed = null;
  #lastTimestamp = null;
  // Time of the candle under the crosshair.
  #pointedTime = null;
  #isNewSeries = true;
  #series = { id: "", symbol: "", interval: "", note: "" };
  #colours = {};

  constructor(topic) {
    this.topic = topic;
    dark.addEventListener("change", () => this.#paint());
    document.addEventListener("themechange", () => this.#paint());
    onTimeZone(() => this.#showTimes());
    const script = byId("charts-script");
    script.addEventListener("load", () => this.#create());
    script.addEventListener("error", () => this.#showMessage("The chart's script could not be loaded."));
    if (globalThis.LightweightCharts) this.#create();
  }

  // Clears the chart at once, so that no candle is shown under the name of another series. `note`
  // says in which currency the candles are, if it is not the page's.
  setSeries(series) {
    this.#series = series;
    this.#lastTimestamp = this.#pointedTime = this.#changed = null;
    this.#isNewSeries = true;
    setText(byId("chart-note"), series.note);
    this.clear("Waiting for candles …");
  }

  // Shows `message` in place of candles and axes: an empty chart would keep the axis of before.
  clear(message) {
    this.#changed = null;
    this.#isNewSeries = true;
    this.#candles?.setData([]);
    this.#volume?.setData([]);
    this.#showMessage(message);
    this.#showLegend(null);
  }

  // `rows` are the changed ones; with `isWhole` the whole series is drawn again.
  draw(rows, isWhole) {
    const before = this.#changed ?? { rows: [], isWhole: false };
    this.#changed = { rows: [...before.rows, ...rows], isWhole: before.isWhole || isWhole };
    onFrame("chart", () => this.#draw());
  }

  // Its amounts are in `currency`.
  showCoin(coin, currency) {
    onFrame("selected coin", () => {
      showCoin(coin, currency);
      showDetail(coin, currency);
      showInTitle(coin, currency);
    });
  }

  showError(message) {
    if (!this.topic.data) this.clear(message);
  }

  #draw() {
    if (!this.#chart || !this.#changed || !this.topic.data) return; // the script may not be loaded yet
    const { rows, isWhole } = this.#changed;
    this.#changed = null;
    const ordered = [...rows].sort((a, b) => a.timestamp - b.timestamp);
    // The chart cannot update a candle before its last one.
    const isAtEnd = !isWhole && this.#lastTimestamp && ordered.every((row) => row.timestamp >= this.#lastTimestamp);
    if (isAtEnd) ordered.forEach((row) => this.#update(row));
    else this.#setAll();
    this.#lastTimestamp = this.topic.data.at(-1)?.timestamp ?? null;
    this.#showMessage(this.topic.data.length ? "" : "There are no candles.");
    if (!this.#pointedTime) this.#showLegend(this.topic.data.at(-1));
  }

  #update(row) {
    this.#candles.update(candle(row));
    this.#volume.update(volume(row, this.#colours));
  }

  #setAll() {
    const rows = this.topic.data;
    const digits = decimals(rows.at(-1)?.close ?? 1);
    const priceFormat = { type: "custom", minMove: 10 ** -digits, formatter: price };
    this.#candles.applyOptions({ priceFormat });
    this.#candles.setData(rows.map(candle));
    this.#volume.setData(rows.map((row) => volume(row, this.#colours)));
    if (!this.#isNewSeries) return; // keep the position of a user who scrolled back
    this.#isNewSeries = false;
    this.#candles.priceScale().applyOptions({ autoScale: true });
    this.#chart.timeScale().resetTimeScale();
    this.#chart.timeScale().applyOptions({ barSpacing: 6 });
  }

  #create() {
    const { createChart, CandlestickSeries, HistogramSeries } = globalThis.LightweightCharts;
    const node = byId("chart");
    this.#chart = createChart(node, CHART_OPTIONS);
    this.#candles = this.#chart.addSeries(CandlestickSeries);
    const scale = { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false };
    this.#volume = this.#chart.addSeries(HistogramSeries, { ...scale, priceLineVisible: false });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#candles.priceScale().applyOptions({ scaleMargins: { top: 0.12, bottom: 0.22 } });
    this.#chart.subscribeCrosshairMove((event) => this.#point(event));
    addScaleSwitch((isLogarithmic) => {
      this.#candles.priceScale().applyOptions({ mode: isLogarithmic ? LOGARITHMIC : LINEAR });
    });
    this.#paint();
    this.#showTimes();
    if (this.topic.data) this.draw([], true);
  }

  #showTimes() {
    this.#chart?.applyOptions(CHART_TIMES);
    this.#showLegend(this.topic.data?.at(-1) ?? null);
  }

  #paint() {
    if (!this.#chart) return;
    const colours = (this.#colours = coloursNow());
    const { up, down, soft, line, panel } = colours;
    const lines = { color: line };
    this.#chart.applyOptions({
      layout: { background: { color: panel }, textColor: soft, attributionLogo: true, fontSize: 11 },
      grid: { vertLines: lines, horzLines: lines },
      rightPriceScale: { borderVisible: false, entireTextOnly: true },
      crosshair: { vertLine: { color: soft }, horzLine: { color: soft } },
    });
    const both = { upColor: up, downColor: down, wickUpColor: up, wickDownColor: down };
    this.#candles.applyOptions({ ...both, borderVisible: false });
    if (this.topic.data) this.draw([], true);
  }

  #point({ time, seriesData }) {
    this.#pointedTime = time === undefined ? null : time;
    const found = time === undefined ? null : this.topic.data?.find((row) => row.timestamp === time * 1_000);
    if (time !== undefined && !seriesData.size) return;
    this.#showLegend(found ?? this.topic.data?.at(-1) ?? null);
  }

  #showLegend(row) {
    const { symbol, interval } = this.#series;
    const node = byId("chart-legend");
    const time = row ? dateAndTime(row.timestamp) : "";
    setText(node.children[0], row ? `${time}${row.closed ? "" : " · forming"}` : "");
    const names = ["open", "high", "low", "close"];
    const values = names.map((name) => `${name[0].toUpperCase()} ${row ? price(row[name]) : DASH}`);
    values.push(`Vol ${row ? large(row.volume) : DASH}`);
    values.forEach((text, index) => setText(node.children[index + 1], text));
    setAttribute(byId("chart"), "aria-label", `${symbol} candles, ${interval}; ${values.join(", ")}`);
  }

  // The chart is hidden while there is a message.
  #showMessage(text) {
    setText(byId("chart-error"), text);
    setAttribute(byId("chart"), "data-empty", String(text !== ""));
  }
}

const candle = ({ timestamp, open, high, low, close }) => ({ time: timestamp / 1_000, open, high, low, close });

function volume({ timestamp, open, close, volume: value }, { upTint, downTint }) {
  const time = timestamp / 1_000;
  return value === null ? { time } : { time, value, color: close >= open ? upTint : downTint };
}

function coloursNow() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const tints = { upTint: of("up-bar"), downTint: of("down-bar") };
  return { up: of("up"), down: of("down"), soft: of("soft"), line: of("grid"), panel: of("panel"), ...tints };
}

function showCoin(coin, currency) {
  setText(byId("selected-name"), coin.name ?? coin.symbol);
  setText(byId("selected-symbol"), `${coin.symbol} / ${currency}`);
  const text = price(coin.price);
  setText(byId("selected-price"), text);
  const all = exactIfCut(coin.price, text);
  setTip(byId("selected-price"), all && `${all} ${currency}`);
  const change = byId("selected-change");
  setText(change, percent(coin.price_change_percentage_24h));
  setAttribute(change, "data-sign", String(Math.sign(coin.price_change_percentage_24h ?? 0)));
}
