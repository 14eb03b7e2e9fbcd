// The fees of the chosen chain, in its unit.

import { byId, setText } from "./dom.js";
import { count, DASH, fee } from "./format.js";

const METHODS = {
  oracle: "estimated by a gas oracle",
  fee_history: "calculated from recent blocks",
  mempool: "estimated from waiting transactions",
};

export function showGas(topic, chain) {
  const gas = topic.data ?? {};
  for (const name of ["slow", "average", "fast", "base_fee"]) setText(byId(`gas-${name}`), fee(gas[name]));
  setText(byId("gas-block"), gas.block ? count(gas.block) : DASH);
  setText(byId("gas-unit"), gas.unit ?? (chain === "bitcoin" ? "sat/vB" : "gwei"));
  const method = gas.method ? METHODS[gas.method] ?? gas.method : "";
  setText(byId("gas-method"), topic.error && !topic.data ? topic.error : method);
}
