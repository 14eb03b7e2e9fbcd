// Numbers, ages and names as text. Unknown is a dash, never a zero.

import { timeOfDay } from "./time_zone.js";

export const DASH = "–";

const formats = new Map();

function numbers(options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat("en", options));
  return formats.get(key);
}

// Never more digits than the number has: 5.21 stays 5.21, and 5.2 is not 5.20.
const twoDecimals = numbers({ maximumFractionDigits: 2 });
const fourDecimals = numbers({ maximumFractionDigits: 4 });
const significant = numbers({ maximumSignificantDigits: 4 });
const compact = numbers({ notation: "compact", maximumSignificantDigits: 5 });
const compactAmount = numbers({ notation: "compact", maximumFractionDigits: 2 });
const scientific = numbers({ notation: "scientific", maximumSignificantDigits: 4 });
const whole = numbers({ maximumFractionDigits: 0 });
const precise = numbers({ maximumFractionDigits: 20, maximumSignificantDigits: 17 });

// Prices from here on are in compact notation, as 1.2346B.
const HUGE = 999_999_999.5;
// The largest size that has a compact name.
const LARGEST_NAMED = 1e15;
// Prices below this have their zeros counted: 0.0₅713 is 0.00000713.
const TINY = 1e-4;
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

const isUnknown = (value) => value === null || value === undefined;

// Number of decimals of a price of this size.
export function decimals(price) {
  const size = Math.abs(price);
  if (size >= 100) return 2;
  if (size >= 1) return 4;
  return Math.min(18, 3 - Math.floor(Math.log10(size || 1)));
}

// At most twelve characters; `exact` has all digits.
export function price(value) {
  if (isUnknown(value)) return DASH;
  const size = Math.abs(value);
  if (size >= HUGE) return large(value, compact);
  if (size >= 1_000_000) return whole.format(value);
  if (size >= 100 || size === 0) return twoDecimals.format(value);
  if (size >= 1) return fourDecimals.format(value);
  return size >= TINY ? significant.format(value) : tiny(value);
}

function tiny(value) {
  const [digits, exponent] = Math.abs(value).toExponential(3).split("e");
  const zeros = [...String(-exponent - 1)].map((digit) => SUBSCRIPTS[digit]).join("");
  return `${value < 0 ? "−" : ""}0.0${zeros}${digits.replace(".", "").replace(/0+$/, "")}`;
}

// The number with all digits that it has in JSON.
export const exact = (value) => (isUnknown(value) ? DASH : precise.format(value));

// The exact number where `text` has fewer digits than it, else "".
export function exactIfCut(value, text) {
  const all = exact(value);
  return all === text ? "" : all;
}

export function percent(value) {
  if (isUnknown(value)) return DASH;
  const size = Math.abs(value);
  if (size > 0 && size < 0.005) return "<0.01 %";
  const sign = value > 0 ? "+" : value < 0 ? "−" : "";
  return `${sign}${size < 10_000 ? twoDecimals.format(size) : large(size)} %`;
}

// A share of the whole: 52.3 is 52.3 %.
export const share = (value) => (isUnknown(value) ? DASH : `${twoDecimals.format(value)} %`);

// An amount, as 1.2T.
export function large(value, format = compactAmount) {
  if (isUnknown(value)) return DASH;
  const size = Math.abs(value);
  if (size >= LARGEST_NAMED) return scientific.format(value);
  return size < 1 ? price(value) : format.format(value);
}

export const count = (value) => (isUnknown(value) ? DASH : whole.format(value));

// A fee in gwei or sat/vB.
export function fee(value) {
  if (isUnknown(value)) return DASH;
  if (value < 0.001 || value >= 1_000_000) return price(value);
  return value >= 100 ? whole.format(value) : numbers({ maximumFractionDigits: value >= 10 ? 1 : 3 }).format(value);
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
  return instant ? timeOfDay(instant) : DASH;
}

// The time of day, with the date if that was long ago.
export function when(instant) {
  if (!instant) return DASH;
  const isOld = Date.now() - Date.parse(instant) > 72_000_000; // 20 hours
  return isOld ? `${day(instant)} ${clock(instant)}` : clock(instant);
}

export function day(instant) {
  return new Date(instant).toISOString().slice(0, 10);
}

const REASONS = {
  all_providers_failed: "no provider answered",
  auth_failed: "the provider refused the key",
  bad_payload: "the provider sent an invalid answer",
  connect_error: "the provider could not be reached",
  connection_lost: "the connection to the gateway is lost",
  cooldown: "the provider pauses after a failure",
  deadline_exceeded: "no provider answered in time",
  disabled: "the provider is switched off",
  geo_blocked: "the provider does not serve this country",
  no_provider_configured: "no provider is set up",
  not_configured: "the provider has no key",
  not_ready: "the list of coins is not loaded yet",
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

// Codes of errors with which the gateway refuses to show anything. Their messages are in its terms: the
// page has words of its own.
export const NOTHING_TO_SHOW = new Set(["all_providers_failed", "deadline_exceeded", "no_provider_configured", "not_ready", "quota_exhausted"]);

// The text of an error {code, message} of the stream or of REST.
export const errorText = ({ code, message }) => (NOTHING_TO_SHOW.has(code) ? reason(code) : message);

// With a capital first letter, where it begins a line.
export const sentence = (text) => text && text[0].toUpperCase() + text.slice(1);

export const words = (name) => name.replaceAll("_", " ");
