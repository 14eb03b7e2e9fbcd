// Fear & Greed: today's value on a dial, and the last thirty days as a line with its gaps.

import { byId, el, setAttribute, setText, svg } from "./dom.js";
import { day } from "./format.js";

const DAYS = 30;
const DAY_MS = 86_400_000;
const [WIDTH, HEIGHT] = [240, 64];
const RADIUS = 50;

export class Mood {
  #history = [];
  #about = "";

  constructor(topic) {
    this.topic = topic;
  }

  // `days`: as `/api/sentiment?days=30` gives them.
  remember(days) {
    this.#history = days;
  }

  miss() {
    if (!this.#history.length) this.#about = "The days before did not come";
  }

  draw() {
    const today = this.topic.data?.[0];
    if (!today) {
      setText(byId("mood-word"), this.topic.error ?? "");
      return;
    }
    setText(byId("mood-value"), String(today.value));
    setText(byId("mood-word"), today.classification ?? ""); // the maker may have no word for it
    attribute(today.attribution);
    const angle = Math.PI * (1 - today.value / 100);
    const needle = byId("mood-needle");
    setAttribute(needle, "visibility", "visible"); // without a value it would point at neutral
    setAttribute(needle, "cx", (60 + RADIUS * Math.cos(angle)).toFixed(1));
    setAttribute(needle, "cy", (60 - RADIUS * Math.sin(angle)).toFixed(1));
    const told = `Fear and Greed ${today.value} of 100`;
    setAttribute(byId("mood-dial"), "aria-label", today.classification ? `${told}: ${today.classification}` : told);
    this.#drawLine(today);
  }

  #drawLine(today) {
    // The same maker's only: indices of two makers are never one line.
    const days = [today, ...this.#history.filter((one) => one.timestamp !== today.timestamp)]
      .filter((one) => one.index === today.index)
      .slice(0, DAYS)
      .reverse();
    const newest = Date.parse(today.timestamp);
    const points = days.map((one) => ({
      at: (Date.parse(one.timestamp) - newest) / DAY_MS + DAYS - 1,
      value: one.value,
    }));
    const line = byId("mood-line");
    line.replaceChildren(...pieces(points.filter((point) => point.at >= 0)));
    const values = days.map((one) => one.value);
    const [lowest, highest] = [Math.min(...values), Math.max(...values)];
    const told = `${days.length} ${days.length === 1 ? "day" : "days"}, from ${lowest} to ${highest}`;
    const text = this.#history.length ? told : this.#about;
    setAttribute(line, "aria-label", `${text}, since ${day(days[0].timestamp)}`);
    setText(byId("mood-range"), text);
  }
}

// The maker's own words; an address among them becomes their link.
function attribute(text) {
  const place = byId("mood-attribution");
  if (place.dataset.text === text) return;
  place.dataset.text = text;
  const [, words, href] = /^(.*?)\s*\(?(https:\/\/[^\s)]+)\)?$/.exec(text) ?? [];
  const link = href && el("a", { href, target: "_blank", rel: "noopener noreferrer" }, words || href);
  place.replaceChildren(link ?? text);
}

const x = (at) => ((at / (DAYS - 1)) * (WIDTH - 8) + 4).toFixed(1);
const y = (value) => (HEIGHT - 4 - (value / 100) * (HEIGHT - 8)).toFixed(1);

// A day that the maker lost stays a gap.
function pieces(points) {
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
