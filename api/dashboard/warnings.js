// The mark in a panel's head that counts the warnings of its answer. The text is shown while the
// pointer or the focus is on the mark, and by a click or a touch.

import { byId, el, setAttribute, setText } from "./dom.js";

const marks = new Map();

// `warnings` are those of the meta that the panel shows; without any there is no mark.
export function showWarnings(name, warnings) {
  const mark = markOf(name);
  const key = warnings.join("\n");
  if (mark.shown === key) return;
  mark.shown = key;
  mark.button.hidden = !warnings.length;
  if (!warnings.length) mark.close();
  setText(mark.count, String(warnings.length));
  const about = `${warnings.length} ${warnings.length === 1 ? "note" : "notes"} on ${mark.of}`;
  setAttribute(mark.button, "aria-label", about);
  setAttribute(mark.list, "aria-label", about);
  mark.list.replaceChildren(...warnings.map((text) => el("p", {}, text)));
}

function markOf(name) {
  if (!marks.has(name)) marks.set(name, createMark(name));
  return marks.get(name);
}

function createMark(name) {
  const badge = byId(`${name}-badge`);
  const id = `${name}-warnings`;
  const count = el("span");
  const button = el("button", { type: "button", class: "warnings-mark", "aria-expanded": "false", "aria-controls": id, hidden: true });
  button.append(el("span", { "aria-hidden": "true" }, "⚠ "), count);
  const list = el("div", { id, class: "warnings-list", role: "note", popover: "manual" });
  badge.before(button, list);
  return { button, count, list, close: addListeners(button, list), of: badge.dataset.of, shown: "" };
}

// A click keeps the list open when the pointer leaves; another click, Escape, or a click elsewhere
// closes it. Returns a function that closes it.
function addListeners(button, list) {
  let isKept = false;
  const set = (isOpen) => {
    isKept &&= isOpen;
    if (isOpen === list.matches(":popover-open")) return;
    setAttribute(button, "aria-expanded", String(isOpen));
    list.togglePopover(isOpen);
    if (isOpen) place(list, button.getBoundingClientRect());
  };
  button.addEventListener("pointerenter", ({ pointerType }) => pointerType === "mouse" && set(true));
  button.addEventListener("pointerleave", () => set(isKept || button.matches(":focus-visible")));
  button.addEventListener("focus", () => button.matches(":focus-visible") && set(true));
  button.addEventListener("blur", () => set(false));
  button.addEventListener("click", () => {
    const keeps = !isKept;
    set(keeps);
    isKept = keeps;
  });
  document.addEventListener("keydown", ({ key }) => key === "Escape" && set(false));
  document.addEventListener("pointerdown", ({ target }) => {
    if (!button.contains(target) && !list.contains(target)) set(false);
  });
  const close = () => set(false);
  addEventListener("scroll", close, { capture: true, passive: true });
  return close;
}

// Below its mark and within the window.
function place(list, { right, bottom }) {
  const left = Math.max(8, Math.min(right - list.offsetWidth, innerWidth - list.offsetWidth - 8));
  list.style.left = `${left}px`;
  list.style.top = `${bottom + 6}px`;
}
