// Numbers, ages and names as people read them. Unknown is a dash, never a zero.

export const DASH = "–";

const formats = new Map();

function numbers(options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat("en", options));
  return formats.get(key);
}

const twoDecimals = numbers({ minimumFractionDigits: 2, maximumFractionDigits: 2 });
const fourDecimals = numbers({ minimumFractionDigits: 4, maximumFractionDigits: 4 });
const significant = numbers({ minimumSignificantDigits: 4, maximumSignificantDigits: 4 });
const compact = numbers({ notation: "compact", minimumFractionDigits: 2, maximumFractionDigits: 2 });
const whole = numbers({ maximumFractionDigits: 0 });

// Places after the point that a price of this size is read with.
export function places(price) {
  const size = Math.abs(price);
  if (size >= 100) return 2;
  if (size >= 1) return 4;
  return Math.min(12, 4 - Math.floor(Math.log10(size || 1)) - 1);
}

export function price(value) {
  if (value === null || value === undefined) return DASH;
  const size = Math.abs(value);
  if (size >= 100 || size === 0) return twoDecimals.format(value);
  return (size >= 1 ? fourDecimals : significant).format(value);
}

export function percent(value) {
  if (value === null || value === undefined) return DASH;
  const sign = value > 0 ? "+" : value < 0 ? "−" : "";
  return `${sign}${twoDecimals.format(Math.abs(value))} %`;
}

export function large(value) {
  return value === null || value === undefined ? DASH : compact.format(value);
}

export function count(value) {
  return value === null || value === undefined ? DASH : whole.format(value);
}

export function gwei(value) {
  if (value === null || value === undefined) return DASH;
  return value >= 100 ? whole.format(value) : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}

const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"]];

// "4 s", "12 min", "3 h", "2 d"
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  for (const [size, name] of UNITS) {
    if (whole >= size) return `${Math.floor(whole / size)} ${name}`;
  }
  return `${whole} s`;
}

export function clock(instant) {
  return instant ? `${new Date(instant).toISOString().slice(11, 19)} UTC` : DASH;
}

export function day(instant) {
  return new Date(instant).toISOString().slice(0, 10);
}

const REASONS = {
  auth_failed: "its key is refused",
  bad_payload: "its answer made no sense",
  connect_error: "it could not be reached",
  cooldown: "it rests after a failure",
  disabled: "it is switched off",
  geo_blocked: "it does not serve this address",
  not_configured: "it has no key",
  quota_exhausted: "its allowance is spent",
  rate_limited: "it asked us to slow down",
  timeout: "it did not answer in time",
  unsupported: "it cannot answer this",
  upstream_5xx: "it failed",
};

// A reason of the contract in words; an unknown one as it stands.
export function reason(code) {
  return code ? (REASONS[code] ?? code.replaceAll("_", " ")) : "";
}

export const words = (name) => name.replaceAll("_", " ");

export const list = (source) => (Array.isArray(source) ? source.join(", ") : source ?? DASH);
