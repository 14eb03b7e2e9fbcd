// The line about processes: whether this one is the whole gateway, and if not, who leads, or why it
// is cut off from the others.

import { byId, setAttribute, setText } from "./dom.js";
import { clock } from "./format.js";

const KINDS = { island: "stale", excluded: "bad" };

// `cluster` is that of /api/status.
export function showCluster(cluster) {
  const line = byId("cluster");
  setAttribute(line, "data-kind", KINDS[cluster.role] ?? "off");
  setText(line, (TEXTS[cluster.role] ?? (() => ""))(cluster));
}

const TEXTS = {
  single: () => "One process",
  leader: (cluster) => `${numberOf(cluster)} · this one (${cluster.process}) leads`,
  follower: (cluster) => `${numberOf(cluster)} · ${cluster.leader ? `process ${cluster.leader}` : "another one"} leads`,
  island: ({ link, since, reason }) => {
    const what = link === "down" ? "Cut off from the other processes" : `Without a leader (${reason})`;
    return `${what} since ${clock(since)}: prices go on, news may be older`;
  },
  excluded: ({ reason }) => `Kept out by the other processes: ${reason}. It asks no provider`,
};

const numberOf = ({ members }) =>
  members.length > 1 ? `One of ${members.length} processes` : "The only process now";
