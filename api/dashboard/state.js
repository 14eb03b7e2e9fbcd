// The state of the page: a badge on each panel, the state of the connection, and one polite region
// in which screen readers hear of changes, but not of ticks.

import { byId, setAttribute, setText } from "./dom.js";
import { duration, reason, when } from "./format.js";
import { healthOf, isAnyLive } from "./health.js";
import { providerName } from "./names.js";
import { setTip } from "./tip.js";

// The gateway's clock minus ours, in ms: ages are right even if our clock is wrong. The message
// with the shortest way gives the best estimate.
let offsetMs = -Infinity;

export function syncClock(instant) {
  offsetMs = Math.max(offsetMs, Date.parse(instant) - Date.now());
}

export function resetClock() {
  offsetMs = -Infinity;
}

export function now() {
  return Date.now() + (Number.isFinite(offsetMs) ? offsetMs : 0);
}

export const ageOf = (instant) => duration((now() - Date.parse(instant)) / 1_000);

export function announce(text) {
  setText(byId("announcer"), text);
}

// {kind, text, tip} of a topic's badge: the age of its data, and why the data are not fresh.
export function topicBadge(topic, isConnected) {
  const { meta, error, staleReason, feed, expiredSince } = topic;
  if (expiredSince) return { kind: "bad", text: `Too old · since ${when(expiredSince)}`, tip: error };
  if (!topic.data) return error ? { kind: "bad", text: "Nothing to show", tip: error } : { kind: "wait", text: "Waiting" };
  const age = meta ? `${ageOf(meta.fetched_at)} old` : "";
  if (!isConnected) return { kind: "bad", text: `Not updating · ${age}` };
  if (staleReason) return { kind: "stale", text: `Stale · ${age} · ${reason(staleReason)}` };
  if (feed?.feed === "ticks") return { kind: "live", text: `Live · ${feed.venue ? providerName(feed.venue) : "trades"}`, tip: "Prices come as they are traded" };
  const tip = feed?.reason ? `Prices come by refreshes, not as they are traded: ${reason(feed.reason)}` : "";
  return { kind: "fresh", text: `Fresh · ${age}`, tip };
}

// The status has no age while connected: each change is sent at once.
export function statusBadge({ data, receivedAt, error }, isConnected) {
  if (!data) return error ? { kind: "bad", text: "Nothing to show", tip: error } : { kind: "wait", text: "Waiting" };
  if (!isConnected) return { kind: "bad", text: `Not updating · ${ageOf(receivedAt)} old` };
  return isAnyLive(data) ? { kind: "live", text: "Live" } : { kind: "fresh", text: healthOf(data) };
}

export function showBadge(name, { kind, text, tip }) {
  const badge = byId(`${name}-badge`);
  const before = badge.dataset.kind;
  setAttribute(badge, "data-kind", kind);
  setText(badge, text);
  setTip(badge, tip ? `${text}. ${tip}` : text);
  if (kind === "stale" && before !== "stale") announce(`${badge.dataset.of}: ${text}`);
  if (before === "stale" && (kind === "fresh" || kind === "live")) announce(`${badge.dataset.of}: fresh again`);
}

const CONNECTION_STATES = {
  connecting: ["wait", "Connecting …"],
  open: ["live", "Connected"],
  paused: ["wait", "Paused while hidden"],
  locked: ["bad", "A key is required"],
};

// `state` is the state that Connection reports.
export function showConnection(state) {
  const [kind, text] = CONNECTION_STATES[state.name] ?? ["bad", lostText(state)];
  setAttribute(byId("connection"), "data-kind", kind);
  setText(byId("connection-text"), text);
  setAttribute(byId("retry"), "data-off", String(state.name !== "lost"));
  byId("retry").disabled = state.name !== "lost";
}

function lostText({ retryAt }) {
  const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1_000));
  return `Connection lost · next try in ${seconds} s`; // the banner says why
}
