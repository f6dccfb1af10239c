// What the page shows. It is told; it asks nothing.

const TITLES = {
  connecting: "Connecting",
  waiting: "Waiting for the host",
  measuring: "Measuring",
  paused: "Paused",
  done: "Done",
  error: "Stopped",
};
const TAIL = 12;

const part = (id) => document.getElementById(id);

let began = null;
let spentMs = 0;

/** Shows a state and a sentence; the clock runs only while something is measured. */
export function showState(state, words) {
  if (state === "measuring" && began === null) began = Date.now();
  if (state !== "measuring" && began !== null) {
    spentMs += Date.now() - began;
    began = null;
  }
  document.body.dataset.state = state;
  write("state", TITLES[state]);
  write("words", words);
  document.title = `${TITLES[state]} · mnas-evo`;
  showTime();
}

/** The host's code and, where there is one, its certificate. */
export function showHost(asked) {
  write("code", asked.code);
  part("certificate").hidden = !asked.fingerprint;
  const pairs = (asked.fingerprint ?? "").match(/[^:]+:?/g) ?? [];
  part("fingerprint").replaceChildren(...pairs.flatMap((pair) => [pair, document.createElement("wbr")]));
}

/** Share done (null: not known) and what it is a share of. */
export function showProgress(share, text) {
  const bar = part("bar");
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
  write("percent", share === null ? "" : `${Math.floor(100 * share)} %`);
  write("text", text);
}

/** What is being measured; where its key is too long, its middle gives way. */
export function showItem(key) {
  if (part("item").textContent === key) return;
  const [head, tail] = [document.createElement("span"), document.createElement("span")];
  head.className = "head";
  head.textContent = key.slice(0, -TAIL);
  tail.textContent = key.slice(-TAIL);
  part("item").replaceChildren(head, tail);
}

/** Visits made since the page was opened, and the time of the last one. */
export function showVisits(count, lastNs) {
  write("visits", count.toLocaleString("en"));
  write("last", lastNs === null ? "–" : duration(lastNs));
}

/** The device's facts, as pairs of a name and a value. */
export function showFacts(pairs) {
  part("facts").replaceChildren(
    ...pairs.flatMap(([name, value]) => {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      text.textContent = value;
      return [term, text];
    }),
  );
}

/** Something that the user should know or do; nothing hides it. */
export function showHint(text) {
  part("hint").hidden = !text;
  write("hint", text);
}

function showTime() {
  const seconds = Math.floor((spentMs + (began === null ? 0 : Date.now() - began)) / 1000);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  write("time", hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`);
}

/** Writes only what is new: what stays is not read aloud again, and nothing is drawn while it is measured. */
function write(id, text) {
  if (part(id).textContent !== text) part(id).textContent = text;
}

function duration(ns) {
  if (ns < 999_500) return `${(ns / 1e3).toPrecision(3)} µs`;
  return `${ns < 999_500_000 ? (ns / 1e6).toPrecision(3) : Math.round(ns / 1e6)} ms`;
}

setInterval(showTime, 1000);
