// The strip of categories: the provider that serves each one now, and the age of its data.

import { setAttribute, setText } from "./dom.js";
import { DASH, duration } from "./format.js";
import { providerName, providerNames } from "./names.js";
import { ageOf, now } from "./state.js";
import { setTip } from "./tip.js";

const KINDS = { ok: "live", down: "bad" };

// `topics` are those that the page shows, by category; `meta.source` is their provider. Without a
// `status` each category shows `error`, or waits.
export function showCategories(status, topics, isConnected, error) {
  for (const cell of document.querySelectorAll("[data-category]")) {
    const name = cell.dataset.category;
    const category = status?.categories[name];
    const { meta } = topics[name];
    if (!category) {
      setAttribute(cell, "data-kind", error ? "bad" : "wait");
      setText(cell.children[2], error ?? "waiting");
      continue;
    }
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

// The provider that is asked first.
const firstOf = ({ providers }) => (providers.length ? providerName(providers[0]) : DASH);

const short = (source) =>
  Array.isArray(source) && source.length > 1
    ? `${providerName(source[0])} + ${source.length - 1}`
    : providerNames(source);

// The age of the page's own data, or else of the gateway's newest data.
function noteOf({ status, age_seconds: age }, { meta, error, expiredSince }) {
  if (expiredSince) return `too old: ${ageOf(expiredSince)}`;
  if (!meta && (error || age === null)) return error || status === "down" ? "no answer" : "waiting";
  const seconds = meta ? (Date.parse(meta.expires_at) - now()) / 1_000 : 0;
  const next = seconds > 1 ? ` · next in ${duration(seconds)}` : "";
  const prefix = status === "down" ? "no provider · " : "";
  return `${prefix}${meta ? ageOf(meta.fetched_at) : duration(age)} old${next}`;
}

function tipOf({ providers, ttl_note: note }, meta) {
  const served = meta ? `Served by ${[meta.source].flat().join(", ")}. ` : "";
  return `${served}Available providers: ${providers.join(", ") || "none"}${note ? `; ${note}` : ""}`;
}
