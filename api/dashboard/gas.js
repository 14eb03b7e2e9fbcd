// Ethereum's gas prices, in gwei.

import { byId, setText } from "./dom.js";
import { count, DASH, gwei } from "./format.js";

const METHODS = { oracle: "estimated by a gas oracle", fee_history: "calculated from recent blocks" };

export function showGas(topic) {
  const gas = topic.data ?? {};
  for (const name of ["slow", "average", "fast", "base_fee"]) setText(byId(`gas-${name}`), gwei(gas[name]));
  setText(byId("gas-block"), gas.block ? count(gas.block) : DASH);
  const method = gas.method ? METHODS[gas.method] ?? gas.method : "";
  setText(byId("gas-method"), topic.error && !topic.data ? topic.error : method);
}
