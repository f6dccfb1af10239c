// The figures in the page's colours: each is drawn as it comes into sight, with its legend and its choices.

const LONGEST_LINE = 44; // characters of a hover text on a narrow screen
const PAPER_WIDTH = 660; // px of a figure on A4
const PAPER_HEIGHT = 340; // two on a page, with their words
const AHEAD = "300px"; // so far below the window a figure is drawn before it is reached
const root = document.documentElement;
const darkByLight = JSON.parse(document.getElementById("palette").textContent);
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
const narrow = window.matchMedia("(max-width: 700px)");
const coarse = window.matchMedia("(pointer: coarse)");
let figures = [];
let printing = false;
const isDark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);

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
