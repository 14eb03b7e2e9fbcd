// The fees of the chosen chain, in its unit.

import { byId, setText } from "./dom.js";
import { count, DASH, exactIfCut, fee, sentence } from "./format.js";
import { setTip } from "./tip.js";

// Blocks of each chain's fee history (`history_blocks` in backend/models/chains.py).
const HISTORY_BLOCKS = { ethereum: 20, base: 30, arbitrum: 120, optimism: 30, polygon: 30, bnb: 80, avalanche: 40 };
const METHODS = {
  oracle: () => "Estimated by a gas oracle",
  fee_history: (chain) => `Estimated from the last ${HISTORY_BLOCKS[chain] ?? ""} blocks`.replace("  ", " "),
  mempool: () => "Estimated from waiting transactions",
};

export function showGas(topic, chain) {
  const gas = topic.data ?? {};
  for (const name of ["slow", "average", "fast", "base_fee"]) showFee(byId(`gas-${name}`), gas[name]);
  setText(byId("gas-block"), gas.block ? count(gas.block) : DASH);
  setText(byId("gas-unit"), gas.unit ?? (chain === "bitcoin" ? "sat/vB" : "gwei"));
  const method = gas.method ? METHODS[gas.method]?.(gas.chain) ?? gas.method : "";
  setText(byId("gas-method"), topic.error && !topic.data ? sentence(topic.error) : method);
}

function showFee(node, value) {
  const text = fee(value);
  setText(node, text);
  setTip(node, exactIfCut(value, text));
}
