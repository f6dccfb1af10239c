// Tables that a heading sorts, and the clipboard.

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
