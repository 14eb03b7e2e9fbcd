// "Copy as curl": the same request for a terminal. The copied command never contains the key.

import { byId, el, setAttribute } from "./dom.js";
import { announce } from "./state.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(path, access) {
  const key = access.key ? ' -H "X-API-Key: $GATEWAY_API_KEY"' : "";
  return `curl${key} ${quoted(new URL(path, document.baseURI).href)}`;
}

// A button with `data-curl` copies the command for the path that `paths[name]()` returns.
export function addCurlButtons(paths, access) {
  for (const button of document.querySelectorAll("[data-curl]")) {
    const path = paths[button.dataset.curl];
    button.addEventListener("click", () => copyText(button, curl(path(), access), "The curl command"));
  }
}

// Copies the text, and says so on the button. `what` is what it is, as "The address".
export async function copyText(button, text, what) {
  const isCopied = await toClipboard(text);
  if (!isCopied) {
    showDialog(text, what);
    return;
  }
  const label = [...button.childNodes];
  if (button.dataset.copied) return;
  button.dataset.copied = "true";
  button.replaceChildren("Copied");
  announce(`${what} is copied.`);
  setTimeout(() => {
    button.replaceChildren(...label);
    delete button.dataset.copied;
  }, 1_500);
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // plain HTTP, or a frame without the permission
  }
}

// Without access to the clipboard: the selected text, to copy by hand.
function showDialog(text, what) {
  const box = byId("curl-box");
  const field = el("textarea", { readonly: true, rows: 3, "aria-label": what });
  field.value = text;
  const close = el("button", { type: "button" }, "Close");
  close.addEventListener("click", () => box.close());
  setAttribute(box, "aria-label", `${what}, to copy`);
  box.replaceChildren(el("p", {}, `${what}, to copy by hand:`), field, close);
  box.showModal();
  field.select();
}
