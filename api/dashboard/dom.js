// Making and changing elements. Data becomes text only, never markup: titles come from strangers.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export const byId = (id) => document.getElementById(id);

// Only what differs touches the document: most of a tick changes nothing that is seen.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Brings `parent` to hold exactly `nodes`, in that order, moving as few as it can.
export function arrange(parent, nodes) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
  while (at) {
    const surplus = at;
    at = at.nextElementSibling;
    surplus.remove();
  }
  // A node that is moved loses the focus.
  if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

export const prefersStillness = matchMedia("(prefers-reduced-motion: reduce)");
