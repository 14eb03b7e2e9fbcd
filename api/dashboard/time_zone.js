// Whether times are shown in UTC or in the reader's time zone: a choice that is remembered.

import { byId } from "./dom.js";
import { remember, remembered } from "./storage.js";

const KEY = "time";
const CHANGED = "timezonechange";
let isLocal = remembered(KEY) === "local";

// Minutes east of UTC at this instant.
const offsetOf = (date) => (isLocal ? -date.getTimezoneOffset() : 0);

// "2026-11-30T01:28:04.000 UTC+2" in its parts: date, time, zone.
function parts(instant) {
  const date = new Date(instant);
  const offset = offsetOf(date);
  const [day, time] = new Date(date.getTime() + offset * 60_000).toISOString().split("T");
  return { day, time, zone: zoneName(offset) };
}

// "UTC", "UTC+2", "UTC−3:30"
function zoneName(offset) {
  if (!offset) return "UTC";
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
  return `UTC${offset > 0 ? "+" : "−"}${hours}${minutes ? `:${String(minutes).padStart(2, "0")}` : ""}`;
}

// "01:28:04 UTC"
export function timeOfDay(instant) {
  const { time, zone } = parts(instant);
  return `${time.slice(0, 8)} ${zone}`;
}

// "2026-11-30 01:28 UTC"
export function dateAndTime(instant) {
  const { day, time, zone } = parts(instant);
  return `${day} ${time.slice(0, 5)} ${zone}`;
}

export const dateOf = (instant) => parts(instant).day;

export const onTimeZone = (job) => document.addEventListener(CHANGED, job);

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

// The label of a mark on a chart's axis. `kind` as the chart's library has it: 0 a year, 1 a month,
// 2 a day, else a time.
function markText(seconds, kind) {
  const { day, time } = parts(seconds * 1_000);
  const [year, month, date] = day.split("-");
  return [year, MONTHS[month - 1], String(Number(date))][kind] ?? time.slice(0, 5);
}

export const CHART_TIMES = {
  localization: { timeFormatter: (seconds) => dateAndTime(seconds * 1_000) },
  timeScale: { tickMarkFormatter: markText },
};

export function addTimeZoneSwitch() {
  const select = byId("time-zone");
  select.value = isLocal ? "local" : "utc";
  select.addEventListener("change", () => {
    isLocal = select.value === "local";
    remember(KEY, select.value);
    document.dispatchEvent(new Event(CHANGED));
  });
}
