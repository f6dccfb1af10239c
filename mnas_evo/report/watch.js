"use strict";
// Asks the page's server every second for what has changed, and says whether it still answers.
(() => {
  const EVERY_MS = 1000;
  const live = document.getElementById("live");
  let tag = live.dataset.tag;
  async function look() {
    try {
      const answer = await fetch(`body?have=${tag}`, { cache: "no-store" });
      if (answer.status === 200) {
        const { tag: newer, html, trouble } = await answer.json();
        report.renew(html);
        tag = newer;
        say(trouble ? `Not drawn anew: ${trouble}` : `Live, drawn anew at ${new Date().toLocaleTimeString()}.`);
      }
      else if (live.dataset.ended) say("Live again.");
      delete live.dataset.ended;
    } catch {
      live.dataset.ended = "true";
      say("No longer live: its server, mnas-evo report --watch, does not answer.");
    }
    setTimeout(look, EVERY_MS);
  }
  function say(words) {
    if (live.textContent !== words) live.textContent = words;
  }
  say("Live: drawn anew as the folder changes.");
  look();
})();
