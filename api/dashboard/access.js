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

// The JSON of a response. Throws Locked if a key is required, or an Error with the detail.
export async function read(path, access) {
  const headers = access.key ? { "X-API-Key": access.key } : {};
  const response = await fetch(new URL(path, document.baseURI), { headers, credentials: "omit" });
  if (response.status === 401) throw new Locked();
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail ?? `status ${response.status}`);
  return body;
}
