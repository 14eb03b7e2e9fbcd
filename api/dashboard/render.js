// Changes of the document, collected and made once per animation frame.

const MEASURE = "dashboard frame";
const jobs = new Map();
let isRequested = false;

// Runs `job` in the next animation frame; a later job of the same name replaces it.
export function onFrame(name, job) {
  jobs.set(name, job);
  if (isRequested) return;
  isRequested = true;
  requestAnimationFrame(run);
}

function run() {
  const start = performance.now();
  const due = [...jobs.values()];
  jobs.clear();
  isRequested = false;
  for (const job of due) {
    try {
      job();
    } catch (error) {
      reportError(error); // an error of one panel must not stop the others
    }
  }
  // For a PerformanceObserver; the browser would keep the entries forever.
  performance.measure(MEASURE, { start });
  performance.clearMeasures(MEASURE);
}

const everySecond = new Set();

// Runs `job` each second while the page is visible, because ages grow.
export function eachSecond(job) {
  everySecond.add(job);
}

setInterval(() => {
  if (document.visibilityState === "visible") for (const job of everySecond) onFrame(job, job);
}, 1_000);
