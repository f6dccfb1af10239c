"use strict";
// Draws the figures in the page's colours, and switches theme, views, scales and the order of the table.
(() => {
  const LONGEST_LINE = 44; // characters of a hover text on a narrow screen
  const PAPER_WIDTH = 660; // px of a figure on A4
  const PAPER_HEIGHT = 340; // two on a page, with their words
  const root = document.documentElement;
  const darkByLight = JSON.parse(document.getElementById("palette").textContent);
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 700px)");
  function unpacked(script) {
    const { lines, figure } = JSON.parse(script.textContent);
    for (const trace of figure.data) {
      if (trace.hovertext) trace.hovertext = trace.hovertext.map((said) => said.map((i) => lines[i]).join("<br>"));
    }
    return figure;
  }

  const figures = [...document.querySelectorAll("figure.plot")].map((element) => ({
    element,
    canvas: element.querySelector(".canvas"),
    drawing: unpacked(element.querySelector("script")),
    views: JSON.parse(element.dataset.views),
    chosen: Object.fromEntries(
      [...element.querySelectorAll(".choice [aria-pressed=true]")].flatMap((button) => Object.entries(button.dataset)),
    ),
    swatches: [],
  }));

  let printing = false;
  const isDark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);

  function painted(value, dark) {
    if (typeof value === "string") return (dark && darkByLight[value]) || value;
    if (Array.isArray(value)) return value.map((item) => painted(item, dark));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, dark)]));
  }

  function place(layout, views, { view, scale }) {
    const [x, y] = views[view];
    layout.xaxis.type = scale;
    layout.xaxis.range = scale === "log" ? x.map(Math.log10) : x;
    layout.yaxis.range = y;
    if (scale === "log" && x[1] >= 10 * x[0]) layout.xaxis.dtick = "D2"; // labels at 1, 2 and 5
    layout.uirevision = `${view} ${scale}`; // a zoom of another view means nothing in this one
  }

  function swatch(trace) {
    const { line = {}, marker = {}, mode = "", opacity = 1 } = trace;
    let drawn = "";
    if (mode.includes("lines")) {
      const dash = line.dash ? ' stroke-dasharray="4 3"' : "";
      drawn += `<line x1="1" x2="21" y1="7" y2="7" stroke="${line.color}" stroke-width="${line.width || 2}"${dash}/>`;
    }
    if (mode.includes("markers")) {
      const open = (marker.symbol || "").endsWith("-open");
      const edge = marker.line ? marker.line.color : marker.color;
      const paint = `fill="${open ? "none" : marker.color}" stroke="${edge}" stroke-width="${open || marker.line ? 1.8 : 0}"`;
      if ((marker.symbol || "").startsWith("diamond")) drawn += `<path d="M11 2l5 5-5 5-5-5z" ${paint}/>`;
      else if (marker.symbol === "square") drawn += `<rect x="7" y="3" width="8" height="8" ${paint}/>`;
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
      button.setAttribute("aria-pressed", "true");
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
      figure.swatches.push({ sample, trace });
    }
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
    const { data, layout } = painted(figure.drawing, dark);
    for (const { sample, trace } of figure.swatches) sample.innerHTML = swatch(painted(trace, dark));
    if (figure.views) place(layout, figure.views, figure.chosen);
    if (narrow.matches) {
      layout.font.size = 11;
      layout.hoverlabel.font.size = 11;
      for (const trace of data) trace.hovertext = trace.hovertext && trace.hovertext.map(folded);
    }
    if (window.matchMedia("(pointer: coarse)").matches) layout.dragmode = false; // a finger scrolls the page
    if (printing) layout.width = PAPER_WIDTH;
    figure.canvas.style.height = printing ? `${PAPER_HEIGHT}px` : "";
    layout.height = figure.canvas.clientHeight;
    return Plotly.react(figure.canvas, data, layout, {
      responsive: !printing,
      displaylogo: false,
      displayModeBar: narrow.matches ? false : "hover",
      modeBarButtons: [["toImage", "resetScale2d"]],
    });
  }

  const drawAll = () => figures.forEach(draw);

  const theme = document.getElementById("theme");
  function showTheme() {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
    drawAll();
  }
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  narrow.addEventListener("change", drawAll);

  // Paper is white and narrower than most windows.
  for (const [moment, now] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(moment, () => {
      printing = now;
      drawAll();
    });
  }

  for (const figure of figures) {
    for (const group of figure.element.querySelectorAll(".choice")) {
      const buttons = group.querySelectorAll("button");
      for (const button of buttons) {
        button.addEventListener("click", () => {
          Object.assign(figure.chosen, button.dataset);
          buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
          draw(figure);
        });
      }
    }
    writeLegend(figure);
  }

  function compare(a, b) {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  }

  const table = document.getElementById("front-table");
  const headings = table ? [...table.querySelectorAll("th:has(button)")] : [];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === ""); // what is not known comes last
        return (ascending ? 1 : -1) * compare(key(a), key(b));
      });
      table.tBodies[0].append(...rows);
    });
  });

  async function copy(text) {
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
  }
  for (const button of document.querySelectorAll("button.copy")) {
    button.addEventListener("click", async () => {
      await copy(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
      document.getElementById("said").textContent = "The network is in the clipboard.";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }

  showTheme();
  root.dataset.ready = "true";
})();
