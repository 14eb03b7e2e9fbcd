// The chosen coin's candles and volume, drawn by TradingView's Lightweight Charts; its last candle
// moves with the stream.

import { byId, setAttribute, setText } from "./dom.js";
import { count, DASH, large, percent, places, price } from "./format.js";
import { onFrame } from "./frame.js";

const MADE_ONCE = { autoSize: true, timeScale: { timeVisible: true, rightOffset: 4, borderVisible: false } };
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  #chart = null;
  #candles = null;
  #volume = null;
  #changed = null;
  #last = null;
  #pointed = null;
  #isAnother = true;
  #names = { id: "", symbol: "", interval: "" };

  constructor(topic) {
    this.topic = topic;
    dark.addEventListener("change", () => this.#paint());
    const script = byId("charts-script");
    script.addEventListener("load", () => this.#make());
    script.addEventListener("error", () => this.#tell("The chart's script did not come."));
    if (globalThis.LightweightCharts) this.#make();
  }

  // Another series: what is drawn goes at once, so that no candle stands under a foreign name.
  turn(names) {
    this.#names = names;
    this.#last = this.#pointed = this.#changed = null;
    this.#isAnother = true;
    this.#candles?.setData([]);
    this.#volume?.setData([]);
    setText(byId("chart-error"), "Waiting for candles …");
    this.#showLegend(null);
  }

  // `rows` that changed; with `isWhole` all of them are drawn anew.
  draw(rows, isWhole) {
    const before = this.#changed ?? { rows: [], isWhole: false };
    this.#changed = { rows: [...before.rows, ...rows], isWhole: before.isWhole || isWhole };
    onFrame("chart", () => this.#draw());
  }

  showCoin(coin) {
    onFrame("chosen coin", () => showCoin(coin));
  }

  fail(message) {
    if (!this.topic.data) this.#tell(message);
  }

  #draw() {
    if (!this.#chart || !this.#changed) return; // the script may still be on its way
    const { rows, isWhole } = this.#changed;
    this.#changed = null;
    const ordered = [...rows].sort((a, b) => a.timestamp - b.timestamp);
    // What is already in the past of the chart cannot be updated one by one.
    const isNext = !isWhole && this.#last && ordered.every((row) => row.timestamp >= this.#last);
    if (isNext) ordered.forEach((row) => this.#update(row));
    else this.#setAll();
    this.#last = this.topic.data.at(-1)?.timestamp ?? null;
    setText(byId("chart-error"), this.topic.data.length ? "" : "There are no candles.");
    if (!this.#pointed) this.#showLegend(this.topic.data.at(-1));
  }

  #update(row) {
    this.#candles.update(candle(row));
    this.#volume.update(volume(row, this.#colours));
  }

  #setAll() {
    const rows = this.topic.data;
    const digits = places(rows.at(-1)?.close ?? 1);
    const priceFormat = { type: "custom", minMove: 10 ** -digits, formatter: price };
    this.#candles.applyOptions({ priceFormat });
    this.#candles.setData(rows.map(candle));
    this.#volume.setData(rows.map((row) => volume(row, this.#colours)));
    if (!this.#isAnother) return; // whoever scrolled back stays there
    this.#isAnother = false;
    this.#chart.timeScale().resetTimeScale();
    this.#chart.timeScale().applyOptions({ barSpacing: 6 });
  }

  #make() {
    const { createChart, CandlestickSeries, HistogramSeries } = globalThis.LightweightCharts;
    const place = byId("chart");
    this.#chart = createChart(place, MADE_ONCE);
    this.#candles = this.#chart.addSeries(CandlestickSeries);
    const scale = { priceScaleId: "", priceFormat: { type: "volume" }, lastValueVisible: false };
    this.#volume = this.#chart.addSeries(HistogramSeries, { ...scale, priceLineVisible: false });
    this.#volume.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    this.#candles.priceScale().applyOptions({ scaleMargins: { top: 0.12, bottom: 0.22 } });
    this.#chart.subscribeCrosshairMove((event) => this.#point(event));
    this.#paint();
    if (this.topic.data) this.draw([], true);
  }

  #paint() {
    if (!this.#chart) return;
    const colours = (this.#colours = coloursNow());
    const { up, down, soft, line, panel } = colours;
    const lines = { color: line };
    this.#chart.applyOptions({
      layout: { background: { color: panel }, textColor: soft, attributionLogo: true, fontSize: 11 },
      grid: { vertLines: lines, horzLines: lines },
      rightPriceScale: { borderVisible: false },
      crosshair: { vertLine: { color: soft }, horzLine: { color: soft } },
    });
    const both = { upColor: up, downColor: down, wickUpColor: up, wickDownColor: down };
    this.#candles.applyOptions({ ...both, borderVisible: false });
    if (this.topic.data) this.draw([], true);
  }

  #colours = {};

  #point({ time, seriesData }) {
    this.#pointed = time === undefined ? null : time;
    const found = time === undefined ? null : this.topic.data?.find((row) => row.timestamp === time * 1_000);
    if (time !== undefined && !seriesData.size) return;
    this.#showLegend(found ?? this.topic.data?.at(-1) ?? null);
  }

  #showLegend(row) {
    const { symbol, interval } = this.#names;
    const place = byId("chart-legend");
    const at = row ? `${new Date(row.timestamp).toISOString().slice(0, 16).replace("T", " ")} UTC` : "";
    setText(place.children[0], row ? `${at}${row.closed ? "" : " · forming"}` : "");
    const names = ["open", "high", "low", "close"];
    const values = names.map((name) => `${name[0].toUpperCase()} ${row ? price(row[name]) : DASH}`);
    values.push(`Vol ${row ? large(row.volume) : DASH}`);
    values.forEach((text, place_) => setText(place.children[place_ + 1], text));
    setAttribute(byId("chart"), "aria-label", `${symbol} candles, ${interval}; ${values.join(", ")}`);
  }

  #tell(text) {
    setText(byId("chart-error"), text);
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

function showCoin(coin) {
  setText(byId("chosen-name"), coin.name ?? coin.symbol);
  setText(byId("chosen-symbol"), `${coin.symbol} / USD`);
  setText(byId("chosen-price"), price(coin.price));
  const change = byId("chosen-change");
  setText(change, percent(coin.price_change_percentage_24h));
  setAttribute(change, "data-sign", String(Math.sign(coin.price_change_percentage_24h ?? 0)));
  const source = byId("chosen-source");
  setText(source, `price by ${coin.source ?? "nobody known"}`);
  setAttribute(source, "title", `circulating supply ${count(coin.circulating_supply)} ${coin.symbol}`);
}
