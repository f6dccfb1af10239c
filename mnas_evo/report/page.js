// The page as a whole: its beginning, its theme, paper, and a newer body taken into the page that is open.

const theme = document.getElementById("theme");

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
  old.canvas.setAttribute("aria-label", figure.canvas.getAttribute("aria-label"));
  figure.canvas.replaceWith(old.canvas);
  figure.canvas = old.canvas;
  figure.isDrawn = old.isDrawn;
  figure.zoom = old.zoom;
  Object.assign(figure.chosen, old.chosen);
  const hidden = new Set(old.drawing.data.filter((trace) => trace.visible === false).map((trace) => trace.name));
  for (const trace of figure.drawing.data) if (hidden.has(trace.name)) trace.visible = false;
}

// What an element is of, the same in a newer body: its section, figure, row and words.
function identity(element) {
  const row = element.closest("tr")?.querySelector("code")?.textContent;
  const place = ["section", "figure", "nav"].map((name) => element.closest(name)?.id ?? "");
  const words = element.matches(".canvas") ? "" : element.textContent; // a figure's words are what changes
  return [...place, row, element.tagName, element.className, words].join("|");
}

function renew(html) {
  const body = document.getElementById("page");
  const before = new Map(figures.map((figure) => [figure.element.id, figure]));
  const orders = [...document.querySelectorAll("table.sorted")].map((table) => {
    const column = [...table.querySelectorAll("thead th")].findIndex((heading) => heading.ariaSort);
    return [table.id, column, column < 0 ? "" : table.querySelectorAll("thead th")[column].ariaSort];
  });
  const unfolded = new Set([...document.querySelectorAll("details[open] > summary")].map(identity));
  const focused = body.contains(document.activeElement) ? identity(document.activeElement) : null;
  const shown = kept && kept.number !== null ? [kept.figure.element.id, networkString(kept.number)] : null;
  const { scrollX, scrollY } = window;
  body.innerHTML = html;
  begin(before);
  for (const [id, { canvas, isDrawn }] of before) if (isDrawn && !document.getElementById(id)) Plotly.purge(canvas);
  for (const [id, column, direction] of orders) {
    const table = document.getElementById(id);
    if (table && column >= 0 && table.querySelectorAll("thead th")[column]) order(table, column, direction === "ascending");
  }
  for (const summary of document.querySelectorAll("details > summary")) {
    if (unfolded.has(identity(summary))) summary.parentElement.open = true;
  }
  if (focused) {
    const again = [...body.querySelectorAll("a, button, summary, [tabindex]")].find((one) => identity(one) === focused);
    again?.focus({ preventScroll: true });
  }
  if (shown) keepCard(...shown);
  else hideCard();
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
document.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || card.hidden) return;
  if (card.contains(document.activeElement)) kept?.figure.canvas.focus();
  hideCard();
});

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
