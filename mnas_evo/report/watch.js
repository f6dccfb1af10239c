// Asks the page's server every second for what has changed, and says whether it still answers.

const EVERY_MS = 1000;
const live = document.getElementById("live");
let tag = live.dataset.tag;
let isLive = true;

async function answered() {
  try {
    return await fetch(`body?have=${tag}`, { cache: "no-store" });
  } catch {
    return null;
  }
}

const state = (trouble, words) => (trouble ? `Not drawn anew: ${trouble}` : words);

async function look() {
  const answer = await answered();
  setTimeout(look, EVERY_MS);
  const wasLive = isLive;
  isLive = answer !== null && (answer.status === 200 || answer.status === 204);
  if (answer === null) live.textContent = "No longer live: its server, mnas-evo report --watch, does not answer.";
  else if (!isLive) live.textContent = "No longer live: another server answers here. Open the address that it printed.";
  else if (answer.status === 200) {
    const newer = await answer.json();
    tag = newer.tag;
    renew(newer.html);
    live.textContent = state(newer.trouble, `Live, drawn anew at ${new Date().toLocaleTimeString()}.`);
  } else if (!wasLive) live.textContent = "Live again.";
}

live.textContent = state(live.dataset.trouble, "Live: drawn anew as the folder changes.");
look();
