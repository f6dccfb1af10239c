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

async function look() {
  const answer = await answered();
  setTimeout(look, EVERY_MS);
  if (!answer) live.textContent = "No longer live: its server, mnas-evo report --watch, does not answer.";
  else if (answer.status === 200) {
    const newer = await answer.json();
    tag = newer.tag;
    renew(newer.html);
    const at = `at ${new Date().toLocaleTimeString()}`;
    live.textContent = newer.trouble ? `Not drawn anew ${at}: ${newer.trouble}` : `Live, drawn anew ${at}.`;
  } else if (!isLive) live.textContent = "Live again.";
  isLive = Boolean(answer);
}

live.textContent = "Live: drawn anew as the folder changes.";
look();
