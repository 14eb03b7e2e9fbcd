// The gateway's key, if it requires one: entered in a form, kept in memory only, and used for
// requests and for the stream.

import { byId, setText } from "./dom.js";

export class Access {
  key = null;

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
    const why = this.key ? "The key was refused." : "This gateway requires a key.";
    this.key = null;
    setText(byId("key-why"), why);
    if (!this.form.hidden) return;
    this.form.hidden = false;
    byId("key").value = "";
    byId("key").focus();
  }
}

export class Locked extends Error {}

// An error of a request: its text for the page, and the gateway's code if it sent one.
class RequestError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
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
  if (!response.ok) throw new RequestError(body?.detail ?? `status ${response.status}`, body?.code);
  if (!body?.data) throw incomplete();
  return body;
}

// The rows of an answer. Throws a RequestError if it has none.
export function rowsOf({ data }) {
  if (!Array.isArray(data)) throw incomplete();
  return data.filter(Boolean);
}

const incomplete = () => new RequestError("the gateway sent an incomplete answer", "bad_payload");
