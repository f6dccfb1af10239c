// Measures one visit at a time with onnxruntime-web, in a worker: the page beside it stays alive, and does not disturb.

import { normalNumbers } from "./numbers.js";
import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

const STEPS = 20; // a time is of as few runs as last this many steps of the clock
const FINE_MS = 0.0055; // 5 us, as browsers give it to isolated pages, and what rounding adds
const COARSE_VISIT_MS = 20; // on a coarser clock a visit lasts at least this long
const WEIGHTS = "weights.bin";

// A model of one Relu, which shows whether the runtime works here at all.
const PROBE = Uint8Array.from(
  atob("CAg6MwoMCgF4EgF5IgRSZWx1EgFwWg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQEQ=="),
  (letter) => letter.charCodeAt(0),
);

/** The way to the host broke: no fault of the model's. */
class Lost extends Error {}

let stepMs = 0;
let weights = { folder: null, bytes: null };

const tasks = { start, measure };

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ type: "answer", ...(await tasks[data.task](data)) });
  } catch (error) {
    const message = `${error?.name ?? "Error"}: ${error?.message ?? error}`.slice(0, 500);
    self.postMessage({ type: error instanceof Lost ? "lost" : "refused", message });
  }
};

/** Starts the runtime and looks at the clock. */
async function start({ threads }) {
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = self.crossOriginIsolated ? threads : 1;
  const session = await ort.InferenceSession.create(PROBE, { executionProviders: ["wasm"] });
  await session.run({ x: new ort.Tensor("float32", new Float32Array(1), [1]) });
  await session.release();
  stepMs = clockStep();
  return {
    version: ort.env.versions.web,
    threads: ort.env.wasm.numThreads,
    isolated: self.crossOriginIsolated,
    stepUs: round(1e3 * stepMs),
    coarse: stepMs > FINE_MS,
  };
}

/** One visit: loads the model afresh, runs it for the time asked, keeps every time, the first (cold) one too. */
async function measure({ plan, visit }) {
  const began = performance.now();
  const model = await fetched(`${plan.folder}/${encodeURIComponent(visit.model)}`);
  if (model === null) throw new Error(`the host has no ${visit.model}`);
  const { folder } = plan;
  if (weights.folder !== folder) weights = { folder, bytes: await fetched(`${folder}/${WEIGHTS}`) };
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
    executionMode: "sequential",
    externalData: weights.bytes ? [{ path: WEIGHTS, data: weights.bytes }] : [],
  });
  try {
    const images = new ort.Tensor("float32", normalNumbers(visit.in_shape), visit.in_shape);
    const feeds = { [session.inputNames[0]]: images };
    const { times, runs } = await timed(() => session.run(feeds), plan);
    return {
      times_ns: times,
      wall_ns: Math.round(1e6 * (performance.now() - began)),
      state: {
        clock_step_us: round(1e3 * stepMs),
        isolated: self.crossOriginIsolated ? 1 : 0,
        group: round(runs / times.length),
      },
    };
  } finally {
    await session.release();
  }
}

/** Times of runs, ns. One shorter than `STEPS` steps of the clock is timed together with those after it: their mean. */
async function timed(once, plan) {
  const visitMs = Math.max(plan.visit_ns / 1e6, stepMs > FINE_MS ? COARSE_VISIT_MS : 0);
  const groupMs = STEPS * stepMs;
  const times = [];
  let runs = 0;
  let spentMs = 0;
  while (times.length < plan.max_repeats && (spentMs < visitMs || times.length < plan.min_repeats)) {
    let [group, tookMs] = [0, 0];
    const start = performance.now();
    do {
      await once();
      group += 1;
      tookMs = performance.now() - start;
    } while (tookMs < groupMs);
    times.push(Math.max(1, Math.round((1e6 * tookMs) / group)));
    runs += group;
    spentMs += tookMs;
  }
  return { times, runs };
}

/** The usual step of the clock, ms: browsers round it, the more the less they trust a page. */
function clockStep() {
  const steps = [];
  const until = performance.now() + 200;
  for (let last = performance.now(); steps.length < 40 && last < until; ) {
    const now = performance.now();
    if (now > last) steps.push(now - last);
    last = now;
  }
  return steps.sort((a, b) => a - b)[steps.length >> 1] ?? 200;
}

/** Bytes of one of the host's files, null where it has none. */
async function fetched(path) {
  try {
    const response = await fetch(path);
    if (response.status === 404) return null;
    if (!response.ok) throw new Error(`status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new Lost(`${path} did not come: ${error.message}`);
  }
}

function round(value) {
  return Math.round(10 * value) / 10;
}
