// One quota of a provider: what was called, what is only assumed, and what is left, as a bar and text.

import { el, setAttribute, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { now } from "./state.js";
import { setTip } from "./tip.js";

// Below this share of the limit the bar is red, if the calls were really made.
const LOW = 0.2;

export function createQuota() {
  return el("li", {}, el("span", { class: "quota-bar", "aria-hidden": "true" }), el("span"));
}

export function showQuota(item, quota) {
  const { limit, remaining, assumed_usage: assumed = 0 } = quota;
  const [bar, text] = item.children;
  const share = (amount) => (limit ? Math.min(1, amount / limit) : 0).toFixed(3);
  bar.style.setProperty("--left", share(remaining));
  bar.style.setProperty("--assumed", share(assumed));
  setAttribute(bar, "data-low", String(remaining + assumed < LOW * limit));
  setText(text, assumed ? assumedText(quota) : leftText(quota));
  setTip(item, tipOf(quota));
}

function leftText({ window, limit, remaining, forecast_exhausted_at: spent }) {
  const forecast = spent ? `, used up in ${duration((Date.parse(spent) - now()) / 1_000)}` : "";
  return `${count(remaining)} of ${count(limit)} left / ${window}${forecast}`;
}

// Of a key whose use before this start is not known.
function assumedText({ window, limit, called, assumed_usage: assumed, calls_per_hour: pace }) {
  const paced = pace ? `; paced at about ${count(pace)} an hour` : "";
  return `called: ${count(called)}; assumed used before this start: ${count(assumed)} of ${count(limit)} / ${window}${paced}`;
}

function tipOf({ used, foreign_usage: foreign, resets_at: resets, assumed_usage: assumed, hint }) {
  const parts = [`${count(used)} counted as used`];
  if (foreign) parts.push(`${count(foreign)} of them by others with the same key`);
  if (resets) parts.push(`resets at ${resets}`);
  if (assumed && hint) parts.push(hint);
  return parts.join("; ");
}
