// The agent in a page: asks the host for visits, has them measured, sends the times back. ../PROTOCOL.md is the wire.

import { deviceFacts } from "./facts.js";
import { showFacts, showHint, showHost, showItem, showProgress, showState, showVisits } from "./view.js";

const PROTOCOL = 1;
const ALIVE_MS = 4000;
const POLL_MS = 40_000; // the host lets a question wait for 20 s
const STARTS = 3;
const OLD_ADDRESS = "This address is no longer valid. Open the one that the host shows now.";
const PAUSED = "Bring this page to the front: browsers slow hidden pages down.";

/** The end of all measuring, for a reason that the page shows. */
class Stop extends Error {}

const page = Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("-");
let greeted = false;
let hidden = 0;
let visits = 0;
let worker = null;
let wakeLock = null;

main().catch((error) => {
  showState("error", error instanceof Stop ? error.message : `This page failed: ${error?.message ?? error}`);
  leave();
});

async function main() {
  showState("connecting", "Looking for the host.");
  const asked = await (await request("asked")).json();
  showHost(asked);
  const runtime = await startRuntime(asked);
  const facts = await deviceFacts(asked, runtime);
  showFacts(factPairs(facts, runtime));
  const hello = { type: "hello", protocol: PROTOCOL, facts };
  setInterval(() => sayAlive(), ALIVE_MS);
  for (;;) {
    await inFront();
    if (!greeted) await greet(hello, runtime);
    const lines = await hear();
    if (lines.some(({ type }) => type === "end")) break;
    const plan = lines.find(({ type }) => type === "plan");
    const turn = lines.find(({ type }) => type === "turn");
    if (plan) await makeVisit(asked, plan, turn);
  }
  greeted = false; // the host goes, too
  leave();
  showState("done", "The host has all that it asked for. You can close this page.");
}

// Measuring

/** Starts the worker and the runtime in it; what fails while the host can be reached is the browser's own fault. */
async function startRuntime(asked) {
  for (let tries = 1; ; tries += 1) {
    showState("connecting", "Loading the runtime, about 14 MB.");
    worker?.terminate();
    worker = new Worker("measure.js", { type: "module" });
    const found = await inWorker({ task: "start", threads: asked.threads });
    if (found.type === "answer") return found;
    await request("asked");
    if (tries === STARTS) {
      const message = `this browser cannot run ${asked.runtime}: ${found.message}`.slice(0, 500);
      await say([{ type: "error", message }]);
      throw new Stop(`T${message.slice(1)}. A newer browser may.`);
    }
    await pause(1000);
  }
}

function inWorker(task) {
  return new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => resolve({ type: "lost", message: event.message ?? "its script did not load" });
    worker.postMessage(task);
  });
}

/** Measures one visit and sends its answer. A page that was hidden meanwhile was slowed down: it measures again. */
async function makeVisit(asked, plan, { turn, share, text }) {
  const [visit] = plan.visits;
  showState("measuring", "The host sends models, this device runs them.");
  showProgress(share, text);
  showItem(visit.item);
  let found;
  for (let refusals = 0; ; ) {
    await inFront();
    showState("measuring", "The host sends models, this device runs them.");
    const before = hidden;
    found = await inWorker({ task: "measure", plan, visit });
    if (document.hidden || hidden !== before) continue;
    if (found.type === "answer") break;
    console.warn(`${visit.item}: ${found.message}`);
    await startRuntime(asked); // a runtime that gave up may not work any more
    if (found.type === "lost") return pause(1000); // the host gives the same visit again
    if ((refusals += 1) === 2) break;
  }
  const { slot, item } = visit;
  const answer =
    found.type === "answer"
      ? { type: "run", slot, item, times_ns: found.times_ns, wall_ns: found.wall_ns, state: { ...found.state, hidden } }
      : { type: "refused", slot, item, message: found.message };
  const { status } = await say([answer, { type: "done" }], turn);
  if (status === 409) greeted = false;
  if (status === 200) visits += 1;
  showVisits(visits, found.type === "answer" ? middle(found.times_ns) : null);
}

function middle(times) {
  return [...times].sort((a, b) => a - b)[times.length >> 1];
}

// The wire

/** Says who is here until the host takes this page. */
async function greet(hello, runtime) {
  for (;;) {
    const reply = await say([hello]);
    if (reply.status === 200) break;
    const said = await reply.json().catch(() => ({ message: `the host answered ${reply.status}` }));
    const sentence = `${said.message[0].toUpperCase()}${said.message.slice(1)}.`;
    if (said.type !== "busy") throw new Stop(sentence);
    showState("waiting", sentence);
    await pause(2000);
  }
  greeted = true;
  await keepAwake();
  showHint(hintFor(runtime));
  showState("waiting", "The host has nothing to measure at the moment.");
}

/** The host's lines; none when it had nothing to do for a while. */
async function hear() {
  const slow = setTimeout(() => showState("waiting", "The host has nothing to measure at the moment."), 1500);
  try {
    const reply = await request(`hear?page=${page}`);
    if (reply.status === 409) greeted = false;
    if (reply.status !== 200) return [];
    return (await reply.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line));
  } catch (error) {
    if (error instanceof Stop) throw error;
    return []; // it broke off in the middle
  } finally {
    clearTimeout(slow);
  }
}

function say(lines, turn = "") {
  const body = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  return request(`say?page=${page}&turn=${turn}`, { method: "POST", body });
}

/** Asks the host until it answers, however long the way to it is broken. */
async function request(path, options = {}) {
  for (let waitMs = 500; ; waitMs = Math.min(2 * waitMs, 5000)) {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), POLL_MS);
    try {
      const reply = await fetch(path, { ...options, signal: limit.signal });
      if (reply.status === 403) throw new Stop(OLD_ADDRESS);
      if (reply.status < 500) return reply;
    } catch (error) {
      if (error instanceof Stop) throw error;
    } finally {
      clearTimeout(timer);
    }
    showState("connecting", "The host does not answer. Is it still running, and in the same network? Trying again.");
    await pause(waitMs);
  }
}

/** Says that this page is there, or about to go: then only a beacon still gets out. */
function sayAlive(leaving = false) {
  if (!greeted) return;
  const [path, body] = [`alive?page=${page}`, JSON.stringify({ hidden: document.hidden, leaving })];
  if (leaving) navigator.sendBeacon(path, body);
  else fetch(path, { method: "POST", body }).catch(() => null);
}

function leave() {
  sayAlive(true);
  greeted = false;
  worker?.terminate();
  wakeLock?.release().catch(() => null);
  wakeLock = null;
}

// The page

document.addEventListener("visibilitychange", () => {
  if (document.hidden) hidden += 1;
  sayAlive();
  if (!document.hidden && greeted) keepAwake();
});
window.addEventListener("pagehide", () => sayAlive(true));
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

/** Waits until the page can be seen. */
async function inFront() {
  if (!document.hidden) return;
  showState("paused", PAUSED);
  await new Promise((resolve) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
  });
}

/** Keeps the screen on where the browser allows it. */
async function keepAwake() {
  wakeLock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
}

function hintFor(runtime) {
  const hints = [];
  const why = window.isSecureContext ? "Not isolated" : "No secure context";
  if (!runtime.isolated) hints.push(`${why}: coarse clock, one thread. Times are means of several runs.`);
  else if (runtime.coarse) hints.push(`Clock in steps of ${runtime.stepUs} µs: times are means of several runs.`);
  if (wakeLock === null) hints.push("This browser does not keep the screen on: set it to stay on.");
  return hints.join(" ");
}

function factPairs(facts, runtime) {
  return [
    ["Processor", facts.soc],
    ["System", facts.os],
    ["Browser", facts.agent.split(", ").slice(2).join(", ")],
    ["Runtime", `${facts.runtime} ${facts.runtime_version}`],
    ["Threads", `${facts.threads}, ${facts.precision}`],
    ["Clock", `steps of ${runtime.stepUs} µs`],
    ["Isolated", runtime.isolated ? "yes" : "no: coarse clock, one thread"],
  ];
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
