// The banner at the top of the page when something is wrong: what, since when, and what still works.

import { byId, setAttribute, setText } from "./dom.js";
import { duration, reason, when } from "./format.js";
import { isCutOff } from "./health.js";
import { announce, now } from "./state.js";

const NAMES = { market: "prices", ohlc: "candles", news: "news", sentiment: "Fear & Greed", gas: "gas fees" };
// A refresh that failed once is no news: figures are called old after this time.
const PATIENCE_MS = 5_000;
const KINDS = { stale: "stale", missing: "bad" };

// When the page first saw what is wrong, by channel.
const firstSeen = new Map();

// `connection` is the state that Connection reports, `limitedUntil` the end of a client limit by
// our clock, `topics` are by channel.
export function showBanner(connection, limitedUntil, topics) {
  const found = bannerOf(connection, limitedUntil, topics);
  const banner = byId("banner");
  if (found && found.what !== byId("banner-what").textContent) announce(found.what);
  banner.hidden = !found;
  setAttribute(banner, "data-kind", found?.kind ?? "off");
  for (const name of ["what", "since", "works"]) setText(byId(`banner-${name}`), found?.[name] ?? "");
}

function bannerOf(connection, limitedUntil, topics) {
  const wrong = wrongTopics(topics);
  if (connection.name === "locked") return null; // the form for the key is in its place
  if (limitedUntil > Date.now()) return limited(connection, limitedUntil);
  if (connection.name === "lost") return lost(connection, topics);
  return wrong.length ? failing(wrong, topics) : null;
}

function limited({ name }, limitedUntil) {
  const seconds = Math.ceil((limitedUntil - Date.now()) / 1_000);
  return {
    kind: "stale",
    what: "Your request limit is used up.",
    since: `The gateway answers this address again in ${seconds} s.`,
    works: name === "open" ? "Prices that are pushed go on; search, other currencies and history wait." : "What is shown does not change until then.",
  };
}

function lost({ why, since }, topics) {
  const isAnything = Object.values(topics).some(({ data }) => data);
  return {
    kind: "bad",
    what: "The connection to the gateway is lost.",
    since: `Since ${when(since)}: ${why}.`,
    works: isAnything ? "What is shown is of that time and does not change. The page tries again by itself." : "The page tries again by itself.",
  };
}

// {name, kind, since, why} of each channel that shows nothing or old figures.
function wrongTopics(topics) {
  const found = [];
  for (const name of Object.keys(NAMES)) {
    const topic = topics[name];
    const kind = topic.error ? "missing" : topic.data && topic.staleReason ? "stale" : null;
    if (!kind) firstSeen.delete(name);
    else if (!firstSeen.has(name)) firstSeen.set(name, now());
    if (!kind || (kind === "stale" && now() - firstSeen.get(name) < PATIENCE_MS)) continue;
    const since = topic.expiredSince ?? topic.meta?.fetched_at ?? new Date(firstSeen.get(name)).toISOString();
    const why = kind === "stale" ? reason(topic.staleReason) : topic.expiredSince ? "" : topic.error;
    found.push({ name, kind, since, why });
  }
  return found;
}

function failing(wrong, topics) {
  const missing = wrong.filter(({ kind }) => kind === "missing");
  const old = wrong.filter(({ kind }) => kind === "stale");
  const parts = [];
  if (missing.length) parts.push(`No current ${listed(missing)}.`);
  if (old.length) parts.push(`Old figures: ${listed(old)}.`);
  const first = wrong.reduce((a, b) => (a.since < b.since ? a : b));
  const isAlone = topics.status.data && isCutOff(topics.status.data);
  const why = isAlone ? "the gateway reaches no provider, so its machine may be offline" : wrong.length > 1 ? "no provider answers for them" : first.why;
  const well = Object.keys(NAMES).filter((name) => topics[name].data && !wrong.some((one) => one.name === name));
  const seconds = (now() - Date.parse(first.since)) / 1_000;
  return {
    kind: KINDS[missing.length ? "missing" : "stale"],
    what: parts.join(" "),
    since: `Since ${when(first.since)} (${duration(seconds)})${why ? `: ${why}` : ""}.`,
    works: well.length ? `Up to date: ${listed(well.map((name) => ({ name })))}.` : "The page goes on trying.",
  };
}

const listed = (all) => all.map(({ name }) => NAMES[name]).join(", ");
