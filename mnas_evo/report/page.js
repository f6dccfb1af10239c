"use strict";
// Draws the figures in the page's colours as they come into sight, and the network of a point where one is pointed at;
// switches theme, views, scales and the order of tables. `report.renew` takes a newer page into the one that is open.
const report = (() => {
  const LONGEST_LINE = 44; // characters of a hover text on a narrow screen
  const PAPER_WIDTH = 660; // px of a figure on A4
  const PAPER_HEIGHT = 340; // two on a page, with their words
  const AHEAD = "300px"; // so far below the window a figure is drawn before it is reached
  const MOST_STEPS = 1000; // points of a trace that arrow keys go through
  const root = document.documentElement;
  const darkByLight = JSON.parse(document.getElementById("palette").textContent);
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 700px)");
  const coarse = window.matchMedia("(pointer: coarse)");
  const card = document.getElementById("card");
  const theme = document.getElementById("theme");
  let networks; // {blocks: [[string, kind, words]], networks: [[numbers of blocks, µs of each or null]]}
  let figures = [];
  let printing = false;
  let pinned = false;
  const isDark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);

  // ---------------------------------------------------------------- figures

  function read(element) {
    const pressed = [...element.querySelectorAll(".choice [aria-pressed=true]")];
    return {
      element,
      canvas: element.querySelector(".canvas"),
      drawing: JSON.parse(element.querySelector("script").textContent),
      views: JSON.parse(element.dataset.views),
      chosen: Object.fromEntries(pressed.flatMap((button) => Object.entries(button.dataset))),
      swatches: [],
      zoom: null, // what the reader made of the axes' ranges, in one view
      isDrawn: false,
    };
  }

  function painted(value, dark) {
    if (typeof value === "string") return (dark && darkByLight[value]) || value;
    if (Array.isArray(value)) return value.map((item) => painted(item, dark));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, dark)]));
  }

  // A trace's colours; its points, of which there may be thousands, have none of their own.
  const DATA = ["x", "y", "z", "text", "hovertext", "customdata"];
  function paintedTrace(trace, dark) {
    const data = DATA.filter((key) => key in trace).map((key) => [key, trace[key]]);
    const style = Object.fromEntries(Object.entries(trace).filter(([key]) => !DATA.includes(key)));
    return { ...painted(style, dark), ...Object.fromEntries(data) };
  }

  function place(layout, views, { view, scale }) {
    const [x, y] = views[view];
    layout.xaxis.type = scale;
    layout.xaxis.range = scale === "log" ? x.map(Math.log10) : x;
    layout.yaxis.range = y;
    if (scale === "log" && x[1] >= 10 * x[0]) layout.xaxis.dtick = "D2"; // labels at 1, 2 and 5
    layout.uirevision = `${view} ${scale}`; // a zoom of another view means nothing in this one
  }

  // Text of a point in lines that a narrow screen has room for.
  function folded(text) {
    return text.split("<br>").flatMap((whole) => {
      const lines = [""];
      for (const word of whole.split(" ")) {
        if (lines.at(-1).length + word.length > LONGEST_LINE) lines.push("\u2003");
        lines[lines.length - 1] += (lines.at(-1).trim() ? " " : "") + word;
      }
      return lines;
    }).join("<br>");
  }

  function draw(figure) {
    const dark = isDark();
    const data = figure.drawing.data.map((trace) => paintedTrace(trace, dark));
    const layout = painted(figure.drawing.layout, dark);
    for (const { sample, trace } of figure.swatches) sample.innerHTML = swatch(paintedTrace(trace, dark));
    if (figure.views) place(layout, figure.views, figure.chosen);
    figure.placed = [layout.xaxis.range, layout.yaxis.range].map((range) => range && [...range]);
    if (figure.zoom && figure.zoom.of === layout.uirevision) {
      Object.assign(layout.xaxis, { range: figure.zoom.x, autorange: false });
      Object.assign(layout.yaxis, { range: figure.zoom.y, autorange: false });
    }
    if (narrow.matches) {
      layout.font.size = 11;
      layout.hoverlabel.font.size = 11;
      for (const trace of data) {
        if (trace.hovertext && !trace.customdata) trace.hovertext = trace.hovertext.map(folded);
      }
    }
    if (coarse.matches) layout.dragmode = false; // a finger scrolls the page
    if (printing) layout.width = PAPER_WIDTH;
    figure.canvas.style.height = printing ? `${PAPER_HEIGHT}px` : "";
    layout.height = figure.canvas.clientHeight;
    Plotly.react(figure.canvas, data, layout, {
      responsive: !printing,
      displaylogo: false,
      displayModeBar: narrow.matches ? false : "hover",
      modeBarButtons: [["toImage", "resetScale2d"]],
    });
    figure.isDrawn = true;
    listen(figure);
  }

  const redraw = () => figures.filter((figure) => figure.isDrawn).forEach(draw);

  const sight = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      const figure = figures.find(({ element }) => element === target);
      if (isIntersecting && figure && !figure.isDrawn) draw(figure);
    }
    ready();
  }, { rootMargin: AHEAD });

  function ready() {
    if (root.dataset.ready) return;
    root.dataset.ready = "true";
    performance.mark("ready");
  }

  // ---------------------------------------------------------------- legend, views

  function swatch(trace) {
    const { line = {}, marker = {}, mode = "", opacity = 1 } = trace;
    let drawn = "";
    if (mode.includes("lines")) {
      const dash = line.dash ? ' stroke-dasharray="4 3"' : "";
      drawn += `<line x1="1" x2="21" y1="7" y2="7" stroke="${line.color}" stroke-width="${line.width || 2}"${dash}/>`;
    }
    if (mode.includes("markers")) {
      const symbol = marker.symbol || "";
      const open = symbol.endsWith("-open");
      const edge = marker.line ? marker.line.color : marker.color;
      const paint = `fill="${open ? "none" : marker.color}" stroke="${edge}" stroke-width="${open || marker.line ? 1.8 : 0}"`;
      if (symbol.startsWith("diamond")) drawn += `<path d="M11 2l5 5-5 5-5-5z" ${paint}/>`;
      else if (symbol.startsWith("triangle-up")) drawn += `<path d="M11 2l5 9h-10z" ${paint}/>`;
      else if (symbol.startsWith("triangle-down")) drawn += `<path d="M11 12l5-9h-10z" ${paint}/>`;
      else if (symbol.startsWith("square")) drawn += `<rect x="7" y="3" width="8" height="8" ${paint}/>`;
      else if (symbol.startsWith("x")) drawn += `<path d="M7 3l8 8M15 3l-8 8" stroke="${marker.color}" stroke-width="2.4"/>`;
      else if (symbol.startsWith("cross")) drawn += `<path d="M11 2v10M6 7h10" stroke="${marker.color}" stroke-width="2.4"/>`;
      else drawn += `<circle cx="11" cy="7" r="${marker.size < 7 ? 3 : marker.size > 12 ? 5.5 : 4.5}" ${paint}/>`;
    }
    return `<svg width="22" height="14" viewBox="0 0 22 14" aria-hidden="true" opacity="${opacity}">${drawn}</svg>`;
  }

  function writeLegend(figure) {
    const shown = figure.drawing.data.filter((trace) => trace.showlegend !== false);
    if (shown.length < 2) return;
    for (const trace of shown) {
      const button = document.createElement("button");
      const sample = document.createElement("span");
      button.type = "button";
      button.append(sample, trace.name);
      button.setAttribute("aria-pressed", String(trace.visible !== false));
      button.title = `Show or hide: ${trace.name}`;
      button.addEventListener("click", () => {
        trace.visible = trace.visible === false;
        for (const other of figure.drawing.data) {
          if (trace.legendgroup && other.legendgroup === trace.legendgroup) other.visible = trace.visible;
        }
        button.setAttribute("aria-pressed", String(trace.visible));
        draw(figure);
      });
      const item = document.createElement("li");
      item.append(button);
      figure.element.querySelector(".legend").append(item);
      sample.innerHTML = swatch(paintedTrace(trace, isDark()));
      figure.swatches.push({ sample, trace });
    }
  }

  function wireChoices(figure) {
    for (const group of figure.element.querySelectorAll(".choice")) {
      const buttons = [...group.querySelectorAll("button")];
      const isChosen = (button) => Object.entries(button.dataset).every(([what, value]) => figure.chosen[what] === value);
      const press = () => buttons.forEach((button) => button.setAttribute("aria-pressed", String(isChosen(button))));
      for (const button of buttons) {
        button.addEventListener("click", () => {
          Object.assign(figure.chosen, button.dataset);
          press();
          draw(figure);
        });
      }
      press();
    }
  }

  // ---------------------------------------------------------------- the network of a point

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const plainMs = (ms) => `${Math.abs(ms) < 0.0005 ? "0" : ms.toPrecision(3)}\u00a0ms`;

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
    if (times && times.length > numbers.length && times.at(-1)) row("call", "each call", times.at(-1));
    return list;
  }

  const networkString = (number) => networks.networks[number][0].map((at) => networks.blocks[at][0]).join("/");

  function hideCard() {
    card.hidden = true;
    pinned = false;
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
    pinned = isPinned;
    card.classList.toggle("pinned", isPinned);
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
    if (narrow.matches) card.style.left = card.style.top = ""; // at the foot of the window
    else besidePoint(figure.canvas, point);
  }

  function besidePoint(canvas, point) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [box.left + point.xaxis._offset + point.xaxis.d2p(point.x), box.top + point.yaxis._offset + point.yaxis.d2p(point.y)];
    const { offsetWidth: width, offsetHeight: height } = card;
    const left = x + 16 + width < root.clientWidth ? x + 16 : Math.max(x - 16 - width, 4);
    const top = Math.min(Math.max(y - height / 2, 52), Math.max(window.innerHeight - height - 8, 4));
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
      if (point && !pinned) showCard(current(), point, false);
    });
    figure.canvas.on("plotly_unhover", () => pinned || hideCard());
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

  // Arrow keys go through the points that have a network, from left to right.
  function wireKeys(figure) {
    const found = figure.drawing.data.flatMap((trace, curveNumber) =>
      trace.customdata && trace.x.length <= MOST_STEPS
        ? trace.x.map((x, pointNumber) => ({ x, curveNumber, pointNumber, network: trace.customdata[pointNumber] }))
        : []);
    if (!found.length) return;
    found.sort((a, b) => a.x - b.x);
    figure.canvas.tabIndex = 0;
    figure.canvas.setAttribute("aria-roledescription", "figure; arrow keys go from point to point");
    let at = -1;
    figure.canvas.onkeydown = (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by || !figure.isDrawn) return;
      event.preventDefault();
      const visible = found.filter(({ curveNumber }) => figure.drawing.data[curveNumber].visible !== false);
      const seen = [...new Map(visible.map((step) => [step.network ?? step, step])).values()]; // each network once
      if (!seen.length) return;
      at = (at + by + seen.length) % seen.length;
      const { curveNumber, pointNumber } = seen[at];
      const { xaxis, yaxis } = figure.canvas._fullLayout;
      const data = figure.drawing.data[curveNumber];
      showCard(figure, { data, pointNumber, xaxis, yaxis, x: data.x[pointNumber], y: data.y[pointNumber] }, true);
      document.getElementById("said").textContent = card.querySelector(".values").innerText;
    };
  }

  // ---------------------------------------------------------------- tables, clipboard

  function compare(a, b) {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  }

  function order(table, column, ascending) {
    const headings = [...table.querySelectorAll("thead th")];
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    headings[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.key;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === ""); // what is not known comes last
      return (ascending ? 1 : -1) * compare(key(a), key(b));
    });
    table.tBodies[0].append(...rows);
  }

  function wireTable(table) {
    [...table.querySelectorAll("thead th")].forEach((heading, column) => {
      const button = heading.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => order(table, column, heading.getAttribute("aria-sort") !== "ascending"));
    });
  }

  async function copied(button, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea"); // where the clipboard is closed to pages of this kind
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    document.getElementById("said").textContent = "The network is in the clipboard.";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  // ---------------------------------------------------------------- the page as a whole

  function begin(before = new Map()) {
    networks = JSON.parse(document.getElementById("architectures").textContent);
    figures = [...document.querySelectorAll("figure.plot")].map(read);
    sight.disconnect();
    for (const figure of figures) {
      const old = before.get(figure.element.id);
      if (old) takeOver(figure, old);
      writeLegend(figure);
      wireChoices(figure);
      wireKeys(figure);
      if (figure.isDrawn) draw(figure);
      sight.observe(figure.element);
    }
    document.querySelectorAll("table.sorted").forEach(wireTable);
    for (const button of document.querySelectorAll("main button.copy")) {
      button.addEventListener("click", () => copied(button, button.parentElement.querySelector("code").textContent));
    }
    if (!figures.length) ready();
  }

  // What the reader did to a figure stays: its zoom, its view, what was hidden.
  function takeOver(figure, old) {
    figure.element.querySelector(".canvas").replaceWith(old.canvas);
    figure.canvas = old.canvas;
    figure.isDrawn = old.isDrawn;
    figure.zoom = old.zoom;
    Object.assign(figure.chosen, old.chosen);
    const hidden = new Set(old.drawing.data.filter((trace) => trace.visible === false).map((trace) => trace.name));
    for (const trace of figure.drawing.data) if (hidden.has(trace.name)) trace.visible = false;
  }

  function renew(html) {
    const before = new Map(figures.map((figure) => [figure.element.id, figure]));
    const orders = [...document.querySelectorAll("table.sorted")].map((table) => {
      const column = [...table.querySelectorAll("thead th")].findIndex((heading) => heading.ariaSort);
      return [table.id, column, column < 0 ? "" : table.querySelectorAll("thead th")[column].ariaSort];
    });
    const unfolded = new Set([...document.querySelectorAll("details[open] > summary")].map((one) => one.textContent));
    const focused = document.activeElement;
    const [within, said] = [focused.closest("section")?.id, focused.textContent];
    const { scrollX, scrollY } = window;
    hideCard();
    document.getElementById("page").innerHTML = html;
    begin(before);
    for (const [id, column, direction] of orders) {
      const table = document.getElementById(id);
      if (table && column >= 0 && table.querySelectorAll("thead th")[column]) order(table, column, direction === "ascending");
    }
    for (const summary of document.querySelectorAll("details > summary")) {
      if (unfolded.has(summary.textContent)) summary.parentElement.open = true;
    }
    if (within && !document.contains(focused)) {
      const again = [...document.querySelectorAll(`#${within} :is(button, summary, [tabindex])`)];
      again.find((one) => one.textContent === said)?.focus({ preventScroll: true });
    }
    window.scrollTo({ left: scrollX, top: scrollY, behavior: "instant" });
  }

  function showTheme() {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
    for (const { swatches } of figures) {
      for (const { sample, trace } of swatches) sample.innerHTML = swatch(paintedTrace(trace, isDark()));
    }
    redraw();
  }
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  narrow.addEventListener("change", redraw);
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hideCard());

  // Paper is white and narrower than most windows.
  for (const [moment, now] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(moment, () => {
      printing = now;
      hideCard();
      figures.forEach(draw);
    });
  }

  begin();
  showTheme();
  return { renew };
})();
