// The network of a point that is pointed at, drawn block by block; a click or an arrow key keeps it.

const MOST_STEPS = 1000; // points of a trace that arrow keys go through
const card = document.getElementById("card");
let networks; // {blocks: [[string, kind, words]], networks: [[numbers of blocks, µs of each or null]]}
let kept = null; // the figure and point of a card that stays

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Three digits, as they were sent, and never an exponent.
const plainMs = (ms) => `${ms.toLocaleString("en", { maximumSignificantDigits: 3 })}\u00a0ms`;

// A network as a list of its blocks, each with what it takes of the predicted time.
function drawnNetwork(number) {
  const [numbers, times] = networks.networks[number];
  const list = element("ol", "blocks drawn");
  const longest = times && Math.max(...times);
  const row = (kind, words, us) => {
    const item = element("li", kind);
    item.append(element("span", "words", words));
    if (us !== undefined) {
      item.style.setProperty("--share", String(Math.max(us / longest, 0)));
      item.append(element("span", "ms", plainMs(us / 1000)));
    }
    list.append(item);
  };
  numbers.forEach((at, i) => {
    const [, kind, words] = networks.blocks[at];
    row(kind, kind === "ends" ? words : `${i}: ${words}`, times ? times[i] : undefined);
  });
  if (times) list.title = "Shares of the predicted time";
  if (times && times.length > numbers.length && times.at(-1)) row("call", "besides the blocks", times.at(-1));
  return list;
}

const networkString = (number) => networks.networks[number][0].map((at) => networks.blocks[at][0]).join("/");

function hideCard() {
  card.hidden = true;
  kept = null;
  card.classList.remove("pinned");
}

function showCard(figure, point, isPinned) {
  const { hovertext, customdata } = point.data;
  const number = customdata[point.pointNumber];
  card.replaceChildren();
  const values = element("p", "values");
  values.innerHTML = hovertext[point.pointNumber].replaceAll("\n", "<br>"); // escaped where the page was written
  card.append(values);
  if (number !== null) card.append(drawnNetwork(number));
  kept = isPinned ? { figure, number } : null;
  card.classList.toggle("pinned", isPinned);
  card.setAttribute("role", isPinned ? "dialog" : "tooltip");
  card.setAttribute("aria-label", "The network of this point");
  if (isPinned) {
    const tools = element("p", "tools");
    const close = element("button", "", "Close");
    close.type = "button";
    close.addEventListener("click", hideCard);
    if (number !== null) {
      const button = element("button", "copy", "Copy");
      button.type = "button";
      button.setAttribute("aria-label", "Copy this network");
      button.addEventListener("click", () => copied(button, networkString(number)));
      tools.append(button);
    }
    tools.append(close);
    card.append(tools);
  } else if (number !== null) card.append(element("p", "note", coarse.matches ? "" : "A click keeps this open."));
  card.hidden = false;
  if (narrow.matches) aboveFoot(figure.canvas, point);
  else besidePoint(figure.canvas, point);
}

// On a phone the card lies at the foot of the window, and the page moves until the point is above it.
function aboveFoot(canvas, point) {
  card.style.left = card.style.top = "";
  const y = canvas.getBoundingClientRect().top + point.yaxis._offset + point.yaxis.d2p(point.y);
  const room = card.getBoundingClientRect().top - 24;
  if (y > room) window.scrollBy({ top: y - room, behavior: "instant" });
}

function besidePoint(canvas, point) {
  const box = canvas.getBoundingClientRect();
  const [x, y] = [box.left + point.xaxis._offset + point.xaxis.d2p(point.x), box.top + point.yaxis._offset + point.yaxis.d2p(point.y)];
  const { offsetWidth: width, offsetHeight: height } = card;
  const left = x + 16 + width < root.clientWidth ? x + 16 : Math.max(x - 16 - width, 4);
  // Below and to the right of a point of the front there is nothing that is better than it.
  const top = Math.max(Math.min(y + 14, window.innerHeight - height - 8), 4);
  card.style.left = `${left + window.scrollX}px`;
  card.style.top = `${top + window.scrollY}px`;
}

function listen(figure) {
  if (figure.canvas.dataset.listens) return;
  figure.canvas.dataset.listens = "true";
  const current = () => figures.find(({ canvas }) => canvas === figure.canvas);
  const ours = ({ points: [point] }) => (point.data.customdata && point.data.hovertext ? point : null);
  figure.canvas.on("plotly_hover", (event) => {
    const point = ours(event);
    if (point && !kept) showCard(current(), point, false);
  });
  figure.canvas.on("plotly_unhover", () => kept || hideCard());
  figure.canvas.on("plotly_click", (event) => {
    const point = ours(event);
    if (point) showCard(current(), point, true);
  });
  figure.canvas.on("plotly_relayouting", hideCard);
  figure.canvas.on("plotly_relayout", (change) => {
    const { xaxis, yaxis, uirevision } = figure.canvas.layout;
    const now = [xaxis.range, yaxis.range];
    const isReset = Object.keys(change).some((key) => key.endsWith("autorange"));
    const isZoom = Object.keys(change).some((key) => key.includes(".range"));
    if (isReset || JSON.stringify(now) === JSON.stringify(current().placed)) current().zoom = null;
    else if (isZoom) current().zoom = { of: uirevision, x: now[0], y: now[1] };
  });
}

// A point as Plotly's events give it.
function pointOf(figure, { curveNumber, pointNumber }) {
  const { xaxis, yaxis } = figure.canvas._fullLayout;
  const data = figure.drawing.data[curveNumber];
  return { data, pointNumber, xaxis, yaxis, x: data.x[pointNumber], y: data.y[pointNumber] };
}

// The points of a figure that have a network, from left to right; those of a search's thousands are left to the mouse.
function steps(figure) {
  return figure.drawing.data.flatMap((trace, curveNumber) =>
    trace.customdata && trace.visible !== false && trace.x.length <= MOST_STEPS
      ? trace.x.map((x, pointNumber) => ({ x, curveNumber, pointNumber, number: trace.customdata[pointNumber] }))
      : []).sort((a, b) => a.x - b.x);
}

// Arrow keys go from network to network, Enter into the card.
function wireKeys(figure) {
  const { canvas } = figure;
  if (!steps(figure).length) {
    canvas.removeAttribute("tabindex");
    canvas.onkeydown = null;
    return;
  }
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "group"); // an img takes no keys
  canvas.setAttribute("aria-label", `${canvas.getAttribute("aria-label")} Arrow keys go from network to network.`);
  canvas.onkeydown = (event) => {
    if (event.key === "Enter" && kept) card.querySelector("button").focus();
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by || !figure.isDrawn) return;
    event.preventDefault();
    const seen = [...new Map(steps(figure).map((step) => [step.number ?? step, step])).values()]; // each network once
    if (!seen.length) return;
    const at = seen.findIndex(({ number }) => number !== null && networkString(number) === canvas.dataset.at);
    const step = seen[(at < 0 ? (by > 0 ? 0 : seen.length - 1) : at + by + seen.length) % seen.length];
    canvas.dataset.at = step.number === null ? "" : networkString(step.number);
    showCard(figure, pointOf(figure, step), true);
    document.getElementById("said").textContent = card.querySelector(".values").innerText;
  };
}

// Shows a card again that was kept, once its figure was made anew: there, if its network still is.
function keepCard(figureId, network) {
  const figure = figures.find(({ element }) => element.id === figureId);
  const step = figure && figure.isDrawn && steps(figure).find(({ number }) => number !== null && networkString(number) === network);
  if (step) showCard(figure, pointOf(figure, step), true);
  else hideCard();
}
