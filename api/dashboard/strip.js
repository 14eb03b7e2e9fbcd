// The strip of categories: the provider that serves each one now, and the age of its data.

import { setAttribute, setText } from "./dom.js";
import { duration } from "./format.js";
import { providerName, providerNames } from "./names.js";
import { ageOf, now } from "./state.js";
import { setTip } from "./tip.js";

const KINDS = { ok: "live", down: "bad" };

// `topics` are those that the page shows, by category; `meta.source` is their provider.
export function showCategories(status, topics, isConnected) {
  for (const [name, category] of Object.entries(status.categories)) {
    const cell = document.querySelector(`[data-category="${name}"]`);
    if (!cell) continue;
    const { meta } = topics[name];
    const [, provider, note] = cell.children;
    setText(provider, meta?.source?.length ? short(meta.source) : firstOf(category));
    setAttribute(cell, "data-kind", isConnected ? kindOf(category, topics[name]) : "bad");
    setText(note, isConnected ? noteOf(category, topics[name]) : `not updating${meta ? ` · ${ageOf(meta.fetched_at)} old` : ""}`);
    setTip(cell, tipOf(category, meta));
  }
}

// Nothing is green before somebody has answered.
function kindOf({ status, age_seconds: age }, { data, meta, error, staleReason }) {
  if (error) return "bad";
  if (data && staleReason) return "stale";
  if (!meta && age === null && status !== "down") return "wait";
  return KINDS[status] ?? "stale";
}

const firstOf = ({ providers }) => (providers.length ? `next: ${providerName(providers[0])}` : "no provider");

const short = (source) =>
  Array.isArray(source) && source.length > 1
    ? `${providerName(source[0])} + ${source.length - 1} more`
    : providerNames(source);

// The age of the page's own data, or else of the gateway's newest data.
function noteOf({ status, age_seconds: age }, { meta, expiredSince }) {
  if (expiredSince) return `too old: ${ageOf(expiredSince)}`;
  if (!meta && age === null) return status === "down" ? "no provider available" : "not requested yet";
  const seconds = meta ? (Date.parse(meta.expires_at) - now()) / 1_000 : 0;
  const next = seconds > 1 ? ` · next in ${duration(seconds)}` : "";
  const prefix = status === "down" ? "no provider · " : "";
  return `${prefix}${meta ? ageOf(meta.fetched_at) : duration(age)} old${next}`;
}

function tipOf({ providers, ttl_note: note }, meta) {
  const served = meta ? `Served by ${[meta.source].flat().join(", ")}. ` : "";
  return `${served}Available providers: ${providers.join(", ") || "none"}${note ? `; ${note}` : ""}`;
}
