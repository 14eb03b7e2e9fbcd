// Creates and changes elements. Data becomes text, never markup: titles come from outside.

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

// These two write only a changed value: most ticks change nothing that is shown.
export function setText(node, text) {
  const only = node.firstChild;
  text ??= "";
  if (!(only instanceof Text) || only.nextSibling) node.textContent = text;
  else if (only.data !== text) only.data = text; // a new text node would cost twice as much
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Makes `nodes` the children of `parent`, in this order, and moves as few of them as possible.
export function arrange(parent, nodes) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  let next = parent.firstElementChild;
  for (const node of nodes) {
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
  while (next) {
    const surplus = next;
    next = next.nextElementSibling;
    surplus.remove();
  }
  // A moved node loses the focus.
  if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

export const prefersReducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
// The panels are below each other, as in layout.css.
export const isNarrow = matchMedia("(max-width: 959px)");
