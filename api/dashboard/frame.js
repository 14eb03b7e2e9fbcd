// Work on the document, once a frame: what comes in between is drawn together.

const NAME = "dashboard frame";
const jobs = new Map();
let isAsked = false;

// `job` runs in the next frame; a later one of the same name takes its place.
export function onFrame(name, job) {
  jobs.set(name, job);
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(run);
}

function run() {
  const start = performance.now();
  const due = [...jobs.values()];
  jobs.clear();
  isAsked = false;
  for (const job of due) {
    try {
      job();
    } catch (error) {
      reportError(error); // one panel's trouble is not the others'
    }
  }
  // For who watches with a PerformanceObserver; kept entries would grow for ever.
  performance.measure(NAME, { start });
  performance.clearMeasures(NAME);
}

const tellers = new Set();

// `tell` runs each second while the page is seen: ages grow.
export function eachSecond(tell) {
  tellers.add(tell);
}

setInterval(() => {
  if (document.visibilityState === "visible") for (const tell of tellers) onFrame(tell, tell);
}, 1_000);
