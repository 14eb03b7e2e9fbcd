// Search over all coins that the gateway knows: a text field with a list of suggestions
// (the ARIA pattern "combobox with listbox").

import { Locked, read, rowsOf } from "./access.js";
import { byId, el, setAttribute, setText } from "./dom.js";

const PAUSE_MS = 250; // after the last key, before a request
const MAX_FOUND = 10;

export class Search {
  #found = [];
  #at = -1; // index of the marked coin
  #timer = 0;
  #query = "";

  // `onChoose({id, symbol, name})` runs when the user chooses a coin, `onLocked()` if a key is required.
  constructor(access, onChoose, onLocked) {
    Object.assign(this, { access, onChoose, onLocked });
    this.input = byId("search");
    this.list = byId("search-list");
    this.input.addEventListener("input", () => this.#typed());
    this.input.addEventListener("keydown", (event) => this.#pressed(event));
    this.input.addEventListener("blur", () => this.#close());
    this.input.addEventListener("focus", () => this.#typed());
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus
    this.list.addEventListener("click", (event) => {
      const at = [...this.list.children].indexOf(event.target.closest("[role=option]"));
      if (at >= 0) this.#choose(at);
    });
  }

  #typed() {
    clearTimeout(this.#timer);
    this.#query = this.input.value.trim();
    if (this.#query) this.#timer = setTimeout(() => this.#ask(this.#query), PAUSE_MS);
    else this.#close();
  }

  async #ask(query) {
    try {
      const path = `api/search?q=${encodeURIComponent(query)}&limit=${MAX_FOUND}`;
      const coins = rowsOf(await read(path, this.access));
      if (query === this.#query) this.#show(coins.filter((coin) => coin.id));
    } catch (error) {
      if (error instanceof Locked) this.onLocked();
      else if (query === this.#query) this.#show([], `Search failed: ${error.message}`);
    }
  }

  #show(found, message = "No coin has this name.") {
    if (document.activeElement !== this.input) return;
    this.#found = found;
    this.list.replaceChildren(...found.map(option));
    setText(byId("search-message"), found.length ? "" : message);
    const count = `${found.length} ${found.length === 1 ? "coin" : "coins"} found`;
    setText(byId("search-count"), found.length ? count : message);
    this.#setOpen(true);
    this.#mark(-1);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#query = "";
    this.#found = [];
    setText(byId("search-count"), "");
    this.#setOpen(false);
    this.#mark(-1);
  }

  #setOpen(isOpen) {
    byId("search-box").hidden = !isOpen;
    this.list.hidden = !this.#found.length;
    setAttribute(this.input, "aria-expanded", String(isOpen && this.#found.length > 0));
  }

  #mark(at) {
    this.#at = at;
    [...this.list.children].forEach((one, index) => setAttribute(one, "aria-selected", String(index === at)));
    const marked = this.list.children[at];
    if (marked) setAttribute(this.input, "aria-activedescendant", marked.id);
    else this.input.removeAttribute("aria-activedescendant");
    marked?.scrollIntoView({ block: "nearest" });
  }

  #pressed(event) {
    const count = this.#found.length;
    if (event.key === "ArrowDown" && count) this.#mark((this.#at + 1) % count);
    else if (event.key === "ArrowUp" && count) this.#mark(this.#at > 0 ? this.#at - 1 : count - 1);
    else if (event.key === "Enter" && count) this.#choose(Math.max(0, this.#at));
    else if (event.key === "Escape") this.#close();
    else return;
    event.preventDefault();
  }

  #choose(at) {
    const coin = this.#found[at];
    this.input.value = "";
    this.#close();
    this.onChoose(coin);
  }
}

function option({ id, symbol, name, market_cap_rank: rank }, at) {
  const row = el("li", { role: "option", id: `found-${at}`, "aria-selected": "false" });
  row.append(el("span", { class: "name" }, name ?? id), el("span", { class: "soft" }, symbol ?? ""));
  row.append(el("span", { class: "soft rank" }, rank ? `#${rank}` : "no rank"));
  return row;
}
