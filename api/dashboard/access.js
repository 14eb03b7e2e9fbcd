// What the gateway asks of this client: a key, which is entered in a form, kept in memory only, and
// used for requests and for the stream; and patience once the limit of its requests is used up.

import { byId, setText } from "./dom.js";
import { errorText, NOTHING_TO_SHOW } from "./format.js";

export class Access {
  key = null;
  // Until when the gateway refuses requests of this client, by our clock in ms.
  limitedUntil = 0;

  // `onKey()` runs when a key was entered.
  constructor(onKey) {
    this.form = byId("key-form");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.key = byId("key").value.trim();
      this.form.hidden = true;
      if (this.key) onKey();
    });
  }

  ask() {
    const why = this.key ? "The key was refused." : "This gateway is locked: it shows data only with a key.";
    this.key = null;
    setText(byId("key-why"), why);
    if (!this.form.hidden) return;
    this.form.hidden = false;
    byId("key").value = "";
    byId("key").focus();
  }
}

export class Locked extends Error {}

// An error of a request: its text for the page, and what the gateway's problem document says.
// `isRefusal`: the gateway has nothing that may be shown.
class RequestError extends Error {
  constructor(message, code, { available, errors } = {}) {
    super(errorText({ code, message }));
    this.code = code;
    this.isRefusal = NOTHING_TO_SHOW.has(code);
    this.available = available;
    this.parameter = errors?.[0]?.parameter;
  }
}

// The JSON of a response. Throws Locked if a key is required, else a RequestError.
export async function read(path, access) {
  const headers = access.key ? { "X-API-Key": access.key } : {};
  const url = new URL(path, document.baseURI);
  const response = await fetch(url, { headers, credentials: "omit" }).catch(() => null);
  if (!response) throw new RequestError("the gateway cannot be reached", "connect_error");
  if (response.status === 401) throw new Locked();
  const body = await response.json().catch(() => null); // a proxy's error page is not JSON
  if (response.status === 429) {
    access.limitedUntil = Date.now() + 1_000 * (body?.retry_after_seconds ?? 1);
    throw new RequestError("your request limit is used up", body?.code);
  }
  if (!response.ok) throw new RequestError(body?.detail ?? `status ${response.status}`, body?.code, body ?? {});
  if (!body?.data) throw incomplete();
  return body;
}

// Why the stream cannot be reached, as a request learns it: {isLocked}, {isReachable} if requests are
// answered all the same, {why, waitMs}, or null.
export async function explainLoss(access) {
  const error = await read("api/global", access).then(() => null, (failed) => failed);
  if (error instanceof Locked) return { isLocked: true };
  const waitMs = access.limitedUntil - Date.now();
  if (waitMs > 0) return { why: "your request limit is used up", waitMs };
  // An error of the gateway itself has a code; a proxy's has none.
  const isReachable = !error || (Boolean(error.code) && error.code !== "connect_error");
  return isReachable ? { isReachable } : null;
}

// The rows of an answer. Throws a RequestError if it has none.
export function rowsOf({ data }) {
  if (!Array.isArray(data)) throw incomplete();
  return data.filter(Boolean);
}

const incomplete = () => new RequestError("the gateway sent an incomplete answer", "bad_payload");
