// Fear & Greed: today's value on a dial, and the last thirty days as a line with gaps.

import { byId, el, setAttribute, setText, svg } from "./dom.js";
import { DASH, day, sentence } from "./format.js";

const DAYS = 30;
const DAY_MS = 86_400_000;
const [WIDTH, HEIGHT] = [240, 64];
const RADIUS = 50;

export class Sentiment {
  #history = [];
  #error = "";

  constructor(topic) {
    this.topic = topic;
  }

  // `days` are the data of `/api/sentiment?days=30`.
  setHistory(days) {
    this.#history = days;
  }

  historyFailed() {
    if (!this.#history.length) this.#error = "The history could not be loaded";
  }

  draw() {
    const today = this.topic.data?.[0];
    if (!today) {
      this.#clear();
      return;
    }
    setText(byId("sentiment-value"), String(today.value));
    setText(byId("sentiment-word"), today.classification ?? ""); // some indices have no classification
    showAttribution(today.attribution);
    const angle = Math.PI * (1 - today.value / 100);
    const needle = byId("sentiment-needle");
    setAttribute(needle, "visibility", "visible"); // hidden until there is a value
    setAttribute(needle, "cx", (60 + RADIUS * Math.cos(angle)).toFixed(1));
    setAttribute(needle, "cy", (60 - RADIUS * Math.sin(angle)).toFixed(1));
    const label = `Fear and Greed ${today.value} of 100`;
    setAttribute(byId("sentiment-dial"), "aria-label", today.classification ? `${label}: ${today.classification}` : label);
    this.#drawLine(today);
  }

  #clear() {
    setText(byId("sentiment-value"), DASH);
    setText(byId("sentiment-word"), "");
    setAttribute(byId("sentiment-needle"), "visibility", "hidden");
    setAttribute(byId("sentiment-dial"), "aria-label", `Fear and Greed, ${this.topic.error ?? "waiting"}`);
    setAttribute(byId("sentiment-line"), "aria-label", "The last 30 days: nothing to show");
    byId("sentiment-line").replaceChildren();
    setText(byId("sentiment-range"), sentence(this.topic.error ?? ""));
    setText(byId("sentiment-attribution"), "");
    delete byId("sentiment-attribution").dataset.text;
  }

  #drawLine(today) {
    // Only values of the same index: two indices are not comparable.
    const days = [today, ...this.#history.filter((one) => one.timestamp !== today.timestamp)]
      .filter((one) => one.index === today.index)
      .slice(0, DAYS)
      .reverse();
    const newest = Date.parse(today.timestamp);
    const points = days.map((one) => ({
      at: (Date.parse(one.timestamp) - newest) / DAY_MS + DAYS - 1,
      value: one.value,
    }));
    const line = byId("sentiment-line");
    line.replaceChildren(...shapes(points.filter((point) => point.at >= 0)));
    const values = days.map((one) => one.value);
    const [lowest, highest] = [Math.min(...values), Math.max(...values)];
    const range = `${days.length} ${days.length === 1 ? "day" : "days"}, from ${lowest} to ${highest}`;
    const text = this.#history.length ? range : this.#error;
    setAttribute(line, "aria-label", `${text}, since ${day(days[0].timestamp)}`);
    setText(byId("sentiment-range"), text);
  }
}

// The publisher's own text; a URL in it becomes the link of the text.
function showAttribution(text) {
  const node = byId("sentiment-attribution");
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  const [, words, href] = /^(.*?)\s*\(?(https:\/\/[^\s)]+)\)?$/.exec(text) ?? [];
  const link = href && el("a", { href, target: "_blank", rel: "noopener noreferrer" }, words || href);
  node.replaceChildren(link ?? text);
}

const x = (at) => ((at / (DAYS - 1)) * (WIDTH - 8) + 4).toFixed(1);
const y = (value) => (HEIGHT - 4 - (value / 100) * (HEIGHT - 8)).toFixed(1);

// A missing day is a gap in the line.
function shapes(points) {
  const runs = [];
  for (const point of points) {
    const run = runs.at(-1);
    if (run && point.at - run.at(-1).at < 1.5) run.push(point);
    else runs.push([point]);
  }
  const middle = svg("line", { x1: 0, x2: WIDTH, y1: y(50), y2: y(50), class: "middle" });
  const lines = runs.map((run) => svg("polyline", { points: run.map((p) => `${x(p.at)},${y(p.value)}`).join(" ") }));
  const last = points.at(-1);
  const dots = last ? [svg("circle", { cx: x(last.at), cy: y(last.value), r: 3 })] : [];
  return [middle, ...lines, ...dots];
}
