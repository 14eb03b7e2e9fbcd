// "Copy as curl": the same request for a terminal. The copied command never contains the key.

import { byId, el } from "./dom.js";
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
    button.addEventListener("click", () => copy(button, curl(path(), access)));
  }
}

async function copy(button, text) {
  const isCopied = await toClipboard(text);
  if (!isCopied) {
    showDialog(text);
    return;
  }
  const label = [...button.childNodes];
  if (button.dataset.copied) return;
  button.dataset.copied = "true";
  button.replaceChildren("Copied");
  announce("The curl command is copied.");
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

// Without access to the clipboard: the selected command, to copy by hand.
function showDialog(text) {
  const box = byId("curl-box");
  const field = el("textarea", { readonly: true, rows: 3, "aria-label": "The curl command" });
  field.value = text;
  const close = el("button", { type: "button" }, "Close");
  close.addEventListener("click", () => box.close());
  box.replaceChildren(el("p", {}, "Copy this command:"), field, close);
  box.showModal();
  field.select();
}
