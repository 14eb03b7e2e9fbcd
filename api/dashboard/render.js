// Changes of the document, collected and made in animation frames.

// The script that one frame may take, in ms: what is left over waits for the next one.
const BUDGET_MS = 4;
const jobs = new Map();
let isRequested = false;

// Runs `job` in an animation frame, in the order of the first requests; a later job of the same name
// replaces it.
export function onFrame(name, job) {
  jobs.set(name, job);
  if (isRequested) return;
  isRequested = true;
  requestAnimationFrame(run);
}

function run() {
  const end = performance.now() + BUDGET_MS;
  for (const [name, job] of [...jobs]) {
    jobs.delete(name);
    try {
      job();
    } catch (error) {
      reportError(error); // an error of one panel must not stop the others
    }
    if (performance.now() > end) break;
  }
  isRequested = jobs.size > 0;
  if (isRequested) requestAnimationFrame(run);
}

const everySecond = new Set();

// Runs `job` each second while the page is visible, because ages grow.
export function eachSecond(job) {
  everySecond.add(job);
}

setInterval(() => {
  if (document.visibilityState === "visible") for (const job of everySecond) onFrame(job, job);
}, 1_000);
