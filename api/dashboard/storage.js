// Choices that this browser remembers. In a sandboxed frame there is no storage: then a choice lasts
// until the page is closed. theme.js, which is no module, has its own copy of this.

export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // see above; or the storage is full
  }
}
