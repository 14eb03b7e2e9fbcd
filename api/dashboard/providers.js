// The providers: of each its state, its figures, what is left of its quotas, and how to make it
// available again.

import { arrange, byId, el, setAttribute, setText } from "./dom.js";
import { count, DASH, duration, reason, sentence, words } from "./format.js";
import { providerName } from "./names.js";
import { createQuota, showQuota } from "./quota.js";
import { now } from "./state.js";
import { setTip } from "./tip.js";

const OFF = new Set(["not_configured", "disabled"]);
const WAITING = new Set(["cooldown", "rate_limited", "quota_exhausted"]);
const STATES = {
  auth_failed: "Key refused",
  cooldown: "Paused",
  disabled: "Switched off",
  geo_blocked: "Blocked in this country",
  not_configured: "Add a key",
  quota_exhausted: "Quota used up",
  rate_limited: "Limit reached",
};
const CATEGORIES = {
  coin_list: "list of coins",
  coins: "single coins",
  global: "whole market",
  ohlc: "candles",
  pass_through: "other requests",
  rates: "exchange rates",
};

// {kind, text} of a provider's badge. It is green only once the provider has answered.
function stateOf({ status, requests, last_success_at: success, cooldown_until: until }) {
  if (status === "active" && success) return { kind: "live", text: "Live" };
  if (status === "active") return requests ? { kind: "stale", text: "No answer yet" } : { kind: "off", text: "Ready" };
  const kind = OFF.has(status) ? "off" : WAITING.has(status) ? "stale" : "bad";
  const seconds = kind === "stale" && until ? (Date.parse(until) - now()) / 1_000 : 0;
  return { kind, text: `${STATES[status] ?? words(status)}${seconds >= 1 ? ` ${duration(seconds)}` : ""}` };
}

const cards = new Map();

export function showProviders(status) {
  // Failing providers first, those that are not configured last.
  const order = (provider) => (OFF.has(provider.status) ? 2 : provider.status === "active" ? 1 : 0);
  const rows = [...status.providers].sort((one, other) => order(one) - order(other));
  arrange(byId("providers-list"), rows.map((provider) => card(provider).node));
  const states = rows.map((provider) => stateOf(provider).kind);
  const live = states.filter((kind) => kind === "live").length;
  const wrong = states.filter((kind) => kind === "stale" || kind === "bad").length;
  const set = rows.filter(({ status: name }) => !OFF.has(name)).length;
  setText(byId("providers-count"), `${live} of ${set} in use${wrong ? `, ${wrong} not answering` : ""}`);
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
    const facts = el("dl", {}, fact("answered", this.rate), fact("usual / slow answer", this.latency), fact("calls", this.calls));
    const title = el("h3", { tabindex: "0" }, providerName(name));
    setTip(title, `Id: ${name}`);
    const head = el("div", { class: "card-head" }, title, this.state);
    this.node = el("li", { class: "card", "data-provider": name }, head, this.serves, this.why, facts, this.quotas);
  }

  show(provider) {
    const { status, categories, success_rate: rate, latency_ms: latency, requests, failures } = provider;
    setAttribute(this.node, "data-off", String(OFF.has(status)));
    setAttribute(this.node, "data-idle", String(!provider.last_success_at));
    const { kind, text } = stateOf(provider);
    setAttribute(this.state, "data-kind", kind);
    setText(this.state, text);
    setText(this.serves, categories.map((name) => CATEGORIES[name] ?? words(name)).join(", "));
    setText(this.why, whyOf(provider));
    setText(this.rate, rate === null ? DASH : `${oneDecimal(rate * 100)} %`);
    setText(this.latency, latency.p50 === null ? DASH : `${ms(latency.p50)} / ${ms(latency.p95)}`);
    setText(this.calls, failures ? `${count(requests)}, ${count(failures)} failed` : count(requests));
    this.#showQuotas(provider.quotas);
  }

  #showQuotas(quotas) {
    while (this.quotas.children.length > quotas.length) this.quotas.lastElementChild.remove();
    while (this.quotas.children.length < quotas.length) this.quotas.append(createQuota());
    quotas.forEach((quota, index) => showQuota(this.quotas.children[index], quota));
  }
}

const fact = (name, value) => el("div", {}, el("dt", {}, name), value);
const oneDecimal = (value) => String(Math.round(value * 10) / 10);
const ms = (value) => `${Math.round(value)} ms`;

function whyOf({ status, reason: code, hint, cooldown_until: until, last_error: error }) {
  const parts = [];
  if (!OFF.has(status) && code) parts.push(reason(code));
  const seconds = until ? (Date.parse(until) - now()) / 1_000 : 0;
  if (seconds > 0 && !WAITING.has(status)) parts.push(`next attempt in ${duration(seconds)}`);
  if (until && seconds < 1) parts.push("the next request tries it again");
  else if (hint) parts.push(hint);
  if (!parts.length && status !== "active" && error) parts.push(error);
  return sentence(parts.join("; "));
}
