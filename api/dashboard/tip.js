// Tips: the text of `data-tip` beside an element that the pointer, the focus or a finger is on.
// Escape hides it. Screen readers hear it as the description of the focused element.

import { byId, setText } from "./dom.js";

const GAP = 6; // px between an element and its tip
let owner = null;

export function setTip(node, text) {
  if (text) node.dataset.tip = text;
  else delete node.dataset.tip;
  if (node === owner) show(node);
}

function show(node) {
  const tip = byId("tip");
  if (!node?.dataset.tip) {
    hide();
    return;
  }
  owner?.removeAttribute("aria-describedby");
  owner = node;
  if (node.matches(":focus")) node.setAttribute("aria-describedby", "tip");
  setText(tip, node.dataset.tip);
  if (!tip.matches(":popover-open")) tip.showPopover();
  place(tip, node.getBoundingClientRect());
}

// Below the element, or above it where there is no room below, and within the window.
function place(tip, { left, top, bottom, width }) {
  const { offsetWidth, offsetHeight } = tip;
  const [windowWidth, windowHeight] = [document.documentElement.clientWidth, innerHeight];
  const middle = left + width / 2 - offsetWidth / 2;
  const below = bottom + GAP;
  const y = below + offsetHeight < windowHeight ? below : Math.max(GAP, top - GAP - offsetHeight);
  tip.style.left = `${Math.max(GAP, Math.min(middle, windowWidth - offsetWidth - GAP))}px`;
  tip.style.top = `${y}px`;
}

function hide() {
  owner?.removeAttribute("aria-describedby");
  owner = null;
  const tip = byId("tip");
  if (tip.matches(":popover-open")) tip.hidePopover();
}

const withTip = (target) => (target instanceof Element ? target.closest("[data-tip]") : null);

export function addTips() {
  document.addEventListener("pointerover", ({ target, pointerType }) => {
    if (pointerType === "mouse") show(withTip(target) ?? withTip(document.activeElement));
  });
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches(":focus-visible")) show(withTip(target));
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("click", ({ target }) => {
    const node = withTip(target);
    if (node && node !== owner) show(node);
    else if (!node) hide();
  });
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  addEventListener("scroll", hide, { capture: true, passive: true });
}
