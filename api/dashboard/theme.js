// The theme: the system's, light or dark. Not a module: it runs before the first paint, so that the
// page is never shown in the other colours first. The colours of dark are in dark.css, whose `media`
// this script sets.

(() => {
  const KEY = "theme";
  const SYSTEM = "(prefers-color-scheme: dark)";
  const MEDIA = { auto: SYSTEM, light: "not all", dark: "all" };
  const sheet = document.getElementById("dark");

  function read() {
    try {
      const found = localStorage.getItem(KEY);
      return Object.hasOwn(MEDIA, found ?? "") ? found : "auto";
    } catch {
      return "auto";
    }
  }

  function apply(theme) {
    sheet.media = MEDIA[theme];
    for (const meta of document.querySelectorAll("meta[name=theme-color]")) {
      const isDark = meta.dataset.theme === "dark";
      meta.media = theme === "auto" ? (isDark ? SYSTEM : "(prefers-color-scheme: light)") : theme === meta.dataset.theme ? "all" : "not all";
    }
    document.dispatchEvent(new Event("themechange"));
  }

  function choose(theme) {
    apply(theme);
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // a sandboxed frame has no storage
    }
  }

  const chosen = read();
  if (chosen !== "auto") apply(chosen);
  // A sheet that did not apply may be loaded only now.
  sheet.addEventListener("load", () => document.dispatchEvent(new Event("themechange")));
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = chosen;
    select.addEventListener("change", () => choose(select.value));
  });
})();
