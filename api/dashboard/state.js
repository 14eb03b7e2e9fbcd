// What is said about the state: a badge on each panel, the connection's pill, and for screen
// readers one polite region that hears of changes, never of ticks.

import { byId, setAttribute, setText } from "./dom.js";
import { duration, reason } from "./format.js";

// The gateway's clock less ours, in ms: ages are right where this clock is wrong. What took the
// least time to come tells best.
let offsetMs = -Infinity;

export function hearTime(instant) {
  offsetMs = Math.max(offsetMs, Date.parse(instant) - Date.now());
}

export function forgetTime() {
  offsetMs = -Infinity;
}

export function now() {
  return Date.now() + (Number.isFinite(offsetMs) ? offsetMs : 0);
}

export const ageOf = (instant) => duration((now() - Date.parse(instant)) / 1_000);

export function announce(text) {
  setText(byId("announcer"), text);
}

// {kind, text} of a topic: how old what it shows is, and why where it is not new.
export function judged(topic, isConnected) {
  const { meta, error, staleReason, feed } = topic;
  if (!topic.data) return error ? { kind: "bad", text: "Nothing to show" } : { kind: "wait", text: "Waiting" };
  const age = meta ? `${ageOf(meta.fetched_at)} old` : "";
  if (!isConnected) return { kind: "bad", text: `Not updating · ${age}` };
  if (staleReason) return { kind: "stale", text: `Stale · ${age} · ${reason(staleReason)}` };
  if (feed?.feed === "ticks") return { kind: "live", text: "Live · moves as it trades" };
  const why = feed?.reason ? ` · no ticks: ${reason(feed.reason)}` : "";
  return { kind: "fresh", text: `Fresh · ${age}${why}` };
}

// The status has no age of its own: what changes is told at once, for as long as somebody tells.
export function judgedStatus({ data, heardAt }, isConnected) {
  if (!data) return { kind: "wait", text: "Waiting" };
  if (!isConnected) return { kind: "bad", text: `Not updating · ${ageOf(heardAt)} old` };
  return { kind: "live", text: "Live" };
}

export function showBadge(name, { kind, text }) {
  const badge = byId(`${name}-badge`);
  const before = badge.dataset.kind;
  setAttribute(badge, "data-kind", kind);
  setText(badge, text);
  setAttribute(badge, "title", text);
  if (kind === "stale" && before !== "stale") announce(`${badge.dataset.of}: ${text}`);
  if (before === "stale" && (kind === "fresh" || kind === "live")) announce(`${badge.dataset.of}: fresh again`);
}

const PILLS = {
  connecting: ["wait", "Connecting …"],
  open: ["live", "Connected"],
  paused: ["wait", "Paused while hidden"],
  locked: ["bad", "A key is wanted"],
};

// `state` as Connection tells it.
export function showConnection(state) {
  const pill = byId("connection");
  const [kind, text] = PILLS[state.name] ?? ["bad", lostText(state)];
  setAttribute(pill, "data-kind", kind);
  setText(byId("connection-text"), text);
  setAttribute(byId("retry"), "data-off", String(state.name !== "lost"));
  byId("retry").disabled = state.name !== "lost";
}

function lostText({ why, retryAt }) {
  const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1_000));
  return `Connection lost: ${why} · next try in ${seconds} s`;
}
