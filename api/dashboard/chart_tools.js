// What a reader changes at the chart besides its interval: the scale of prices, which is remembered,
// and full screen.

import { byId, setAttribute } from "./dom.js";
import { remember, remembered } from "./storage.js";

const KEY = "scale";

// `onScale(isLogarithmic)` runs at once, and when the reader chooses the other scale.
export function addScaleSwitch(onScale) {
  const button = byId("log-scale");
  const show = (isLogarithmic) => {
    setAttribute(button, "aria-pressed", String(isLogarithmic));
    onScale(isLogarithmic);
  };
  button.addEventListener("click", () => {
    const isLogarithmic = button.getAttribute("aria-pressed") !== "true";
    remember(KEY, isLogarithmic ? "logarithmic" : "linear");
    show(isLogarithmic);
  });
  show(remembered(KEY) === "logarithmic");
}

// The panel fills the window, and the screen where the browser allows it: not in every frame, and on
// some phones not at all.
export function addFullScreen() {
  const [panel, button] = [byId("candles"), byId("full-screen")];
  const show = (isFull) => {
    panel.classList.toggle("is-full", isFull);
    document.documentElement.classList.toggle("has-full", isFull);
    setAttribute(button, "aria-pressed", String(isFull));
  };
  const leave = () => {
    show(false);
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  };
  const enter = () => {
    show(true);
    panel.requestFullscreen?.().catch(() => {}); // then the window alone
  };
  button.addEventListener("click", () => (panel.classList.contains("is-full") ? leave() : enter()));
  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement) show(false);
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && panel.classList.contains("is-full")) leave();
  });
}
