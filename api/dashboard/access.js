// The gateway's key, where it wants one: held in memory only, asked for by a form, used by REST
// and by the stream.

import { byId, setText } from "./dom.js";

export class Access {
  key = null;

  // `unlocked()` runs when there is a key to try.
  constructor(unlocked) {
    this.form = byId("key-form");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.key = byId("key").value.trim();
      this.form.hidden = true;
      if (this.key) unlocked();
    });
  }

  ask() {
    const why = this.key ? "That key was refused." : "This gateway wants a key.";
    this.key = null;
    setText(byId("key-why"), why);
    if (!this.form.hidden) return;
    this.form.hidden = false;
    byId("key").value = "";
    byId("key").focus();
  }
}

export class Locked extends Error {}

// The answer's JSON. Throws Locked where a key is wanted, else an Error in words.
export async function read(path, access) {
  const headers = access.key ? { "X-API-Key": access.key } : {};
  const answer = await fetch(new URL(path, document.baseURI), { headers, credentials: "omit" });
  if (answer.status === 401) throw new Locked();
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `status ${answer.status}`);
  return body;
}
