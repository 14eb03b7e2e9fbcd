// Numbers, ages and names as text. Unknown is a dash, never a zero.

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

// Number of decimals of a price of this size.
export function decimals(price) {
  const size = Math.abs(price);
  if (size >= 100) return 2;
  if (size >= 1) return 4;
  return Math.min(12, 4 - Math.floor(Math.log10(size || 1)) - 1);
}

export function price(value) {
  if (value === null || value === undefined) return DASH;
  const size = Math.abs(value);
  if (size >= 1_000_000) return whole.format(value);
  if (size >= 100 || size === 0) return twoDecimals.format(value);
  return (size >= 1 ? fourDecimals : significant).format(value);
}

export function percent(value) {
  if (value === null || value === undefined) return DASH;
  const sign = value > 0 ? "+" : value < 0 ? "−" : "";
  return `${sign}${twoDecimals.format(Math.abs(value))} %`;
}

// A share of the whole: 52.3 is 52.30 %.
export function share(value) {
  return value === null || value === undefined ? DASH : `${twoDecimals.format(value)} %`;
}

export function large(value) {
  return value === null || value === undefined ? DASH : compact.format(value);
}

export function count(value) {
  return value === null || value === undefined ? DASH : whole.format(value);
}

// A fee in gwei or sat/vB.
export function fee(value) {
  if (value === null || value === undefined) return DASH;
  if (value === 0) return "0";
  return value >= 100 ? whole.format(value) : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}

const UNITS = [[86_400, "d"], [3_600, "h"], [60, "min"]]; // seconds

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
  auth_failed: "the provider refused the key",
  bad_payload: "the provider sent an invalid answer",
  connect_error: "the provider could not be reached",
  cooldown: "the provider pauses after a failure",
  disabled: "the provider is switched off",
  geo_blocked: "the provider does not serve this country",
  not_configured: "the provider has no key",
  quota_exhausted: "the quota is used up",
  rate_limited: "the provider limits our requests",
  timeout: "the provider did not answer in time",
  unsupported: "the provider does not support this",
  upstream_5xx: "the provider failed",
};

// The text of a reason code; an unknown code with spaces.
export function reason(code) {
  return code ? (REASONS[code] ?? code.replaceAll("_", " ")) : "";
}

export const words = (name) => name.replaceAll("_", " ");

export const list = (source) => (Array.isArray(source) ? source.join(", ") : source ?? DASH);
