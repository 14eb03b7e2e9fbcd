// The provider that serves each category now, and of each provider its status, its figures, what is
// left of its quotas, and how to make it available again.

import { arrange, byId, el, setAttribute, setText } from "./dom.js";
import { count, DASH, duration, list, reason, words } from "./format.js";
import { ageOf, now } from "./state.js";

const KINDS = { active: "live", cooldown: "stale", rate_limited: "stale", quota_exhausted: "stale" };
const CATEGORY_KINDS = { ok: "live", down: "bad" };
const OFF = new Set(["not_configured", "disabled"]);

// `metas` are the meta of the data that the page shows, by category; `source` is their provider.
export function showCategories(status, metas, isConnected) {
  for (const [name, category] of Object.entries(status.categories)) {
    const cell = document.querySelector(`[data-category="${name}"]`);
    if (!cell) continue;
    const meta = metas[name];
    const [, provider, note] = cell.children;
    setText(provider, meta?.source?.length ? short(meta.source) : firstOf(category));
    setAttribute(cell, "data-kind", isConnected ? CATEGORY_KINDS[category.status] ?? "stale" : "bad");
    setText(note, isConnected ? noteOf(category, meta) : `not updating${meta ? ` · ${ageOf(meta.fetched_at)} old` : ""}`);
    setAttribute(cell, "title", titleOf(name, category, meta));
  }
}

const firstOf = ({ providers }) => (providers.length ? `next: ${providers[0]}` : "no provider");

const short = (source) =>
  Array.isArray(source) && source.length > 1 ? `${source[0]} + ${source.length - 1} more` : list(source);

// The age of the page's own data, or else of the gateway's newest data.
function noteOf({ status, age_seconds: age }, meta) {
  if (!meta && age === null) return status === "down" ? "no provider available" : "not requested yet";
  const seconds = meta ? (Date.parse(meta.expires_at) - now()) / 1_000 : 0;
  const next = seconds > 1 ? ` · next in ${duration(seconds)}` : "";
  const prefix = status === "ok" ? "" : `${status} · `;
  return `${prefix}${meta ? ageOf(meta.fetched_at) : duration(age)} old${next}`;
}

function titleOf(name, { providers, ttl_note: note }, meta) {
  const chain = providers.join(", ") || "none";
  const served = meta ? `served by ${list(meta.source)}; ` : "";
  return `${name}: ${served}available providers: ${chain}${note ? `; ${note}` : ""}`;
}

const cards = new Map();

export function showProviders(status) {
  // Failing providers first, those that are not configured last.
  const order = (provider) => (OFF.has(provider.status) ? 2 : provider.status === "active" ? 1 : 0);
  const rows = [...status.providers].sort((one, other) => order(one) - order(other));
  arrange(byId("providers-list"), rows.map((provider) => card(provider).node));
  const active = rows.filter((provider) => provider.status === "active").length;
  setText(byId("providers-count"), `${active} of ${rows.length} active`);
}

function card(provider) {
  if (!cards.has(provider.name)) cards.set(provider.name, new Card(provider.name));
  const found = cards.get(provider.name);
  found.show(provider);
  return found;
}

class Card {
  constructor(name) {
    this.state = el("span", { class: "badge" });
    this.serves = el("p", { class: "about" });
    this.why = el("p", { class: "why" });
    this.rate = el("dd");
    this.latency = el("dd");
    this.calls = el("dd");
    this.quotas = el("ul", { class: "quotas" });
    const facts = el("dl", {}, fact("success", this.rate), fact("latency p50 / p95", this.latency), fact("calls", this.calls));
    const head = el("div", { class: "card-head" }, el("h3", {}, name), this.state);
    this.node = el("li", { class: "card", "data-provider": name }, head, this.serves, this.why, facts, this.quotas);
  }

  show(provider) {
    const { status, categories, success_rate: rate, latency_ms: latency, requests, failures } = provider;
    setAttribute(this.node, "data-off", String(OFF.has(status)));
    setAttribute(this.state, "data-kind", KINDS[status] ?? (OFF.has(status) ? "off" : "bad"));
    setText(this.state, words(status));
    setText(this.serves, categories.map((name) => (name === "ohlc" ? "candles" : words(name))).join(", "));
    setText(this.why, whyOf(provider));
    setText(this.rate, rate === null ? DASH : `${(rate * 100).toFixed(rate === 1 ? 0 : 1)} %`);
    setText(this.latency, latency.p50 === null ? DASH : `${ms(latency.p50)} / ${ms(latency.p95)}`);
    setText(this.calls, failures ? `${count(requests)}, ${count(failures)} failed` : count(requests));
    this.#showQuotas(provider.quotas);
  }

  #showQuotas(quotas) {
    while (this.quotas.children.length > quotas.length) this.quotas.lastElementChild.remove();
    while (this.quotas.children.length < quotas.length) this.quotas.append(quotaItem());
    quotas.forEach((quota, index) => showQuota(this.quotas.children[index], quota));
  }
}

const fact = (name, value) => el("div", {}, el("dt", {}, name), value);
const ms = (value) => `${Math.round(value)} ms`;

function whyOf({ status, reason: code, hint, cooldown_until: until, last_error: error }) {
  const parts = [];
  if (!OFF.has(status) && code) parts.push(reason(code));
  const seconds = until ? (Date.parse(until) - now()) / 1_000 : 0;
  if (seconds > 0) parts.push(`next attempt in ${duration(seconds)}`);
  if (hint) parts.push(hint);
  if (!parts.length && status !== "active" && error) parts.push(error);
  const text = parts.join("; ");
  return text && text[0].toUpperCase() + text.slice(1);
}

function quotaItem() {
  return el("li", {}, el("span", { class: "quota-bar", "aria-hidden": "true" }), el("span"));
}

function showQuota(item, { window, limit, used, remaining, resets_at: resets, forecast_exhausted_at: spent }) {
  const [bar, text] = item.children;
  const share = limit ? remaining / limit : 0;
  bar.style.setProperty("--left", share.toFixed(3));
  setAttribute(bar, "data-low", String(share < 0.2));
  const forecast = spent ? `, used up in ${duration((Date.parse(spent) - now()) / 1_000)}` : "";
  setText(text, `${count(remaining)} of ${count(limit)} left / ${window}${forecast}`);
  setAttribute(item, "title", `${count(used)} used${resets ? `, resets at ${resets}` : ""}`);
}
