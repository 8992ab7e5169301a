// Sorts, filters and draws; without it the page still shows everything. Text is only ever set as text.
"use strict";

const ABSENT = "–";
const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A800"];
const DASHES = [[], [8, 4], [10, 3, 2, 3], [2, 3]];
const BOUND_DASHES = [[8, 5], [4, 2], [8, 2, 2, 2]];

function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// ---- light and dark

const dark = matchMedia("(prefers-color-scheme: dark)");
const plots = [];

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}

function nameTheme() {
  document.getElementById("theme").textContent = isDark() ? "light" : "dark";
}

function showTheme() {
  nameTheme();
  for (const plot of plots) plot.redraw();
}

function startTheme() {
  try {
    const kept = localStorage.getItem("theme");
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  } catch { /* no storage from a file in some browsers */ }
  const button = document.getElementById("theme");
  button.hidden = false;
  nameTheme();
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* as above */ }
    showTheme();
  });
  dark.addEventListener("change", showTheme);
}

// ---- tables

function sortKey(cell) {
  const text = cell.dataset.value || cell.textContent.trim();
  if (text === ABSENT || text === "") return null;
  const number = Number(text.replaceAll(",", ""));
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1;
}

function sortBy(table, place) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [sortKey(row.cells[place]), row]);
  const numeric = rows.some(([key]) => typeof key === "number");
  const before = heads[place].getAttribute("aria-sort");
  // Names and ranks read best from the smallest, scores from the largest.
  const ascending = before ? before === "descending" : !numeric || "smallestFirst" in heads[place].dataset;
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return ascending ? compare(a, b) : compare(b, a);
  });
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[place].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  body.append(...rows.map(([, row]) => row));
}

function startTable(table) {
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    head.querySelector("button").addEventListener("click", () => sortBy(table, place));
  });
}

function startTools(tools) {
  const table = tools.parentElement.querySelector("table");
  const count = tools.querySelector(".count");
  tools.querySelector(".filter").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
  const columns = tools.querySelector(".columns");
  columns.addEventListener("click", () => {
    columns.setAttribute("aria-pressed", String(table.classList.toggle("all")));
    columns.textContent = table.classList.contains("all") ? "fewer columns" : "all columns";
  });
}

// ---- curves

function colourOf(curve) {
  if (curve.plain) return getComputedStyle(document.body).color;
  return COLOURS[curve.place % COLOURS.length];
}

function fade(colour, share) {
  const parts = colour.startsWith("#")
    ? [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16))
    : colour.match(/\d+/g).slice(0, 3);
  return `rgba(${parts.join(",")},${share})`;
}

function dashOf(curve) {
  if (curve.thin) return [3, 3];
  const dashes = curve.plain ? BOUND_DASHES : DASHES;
  return dashes[curve.place % dashes.length];
}

function swatch(curve) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries({ x1: 0, x2: 100, y1: 4, y2: 4, "stroke-width": curve.thin ? 1 : 3 })) {
    line.setAttribute(name, value);
  }
  line.setAttribute("stroke", curve.plain ? "currentColor" : colourOf(curve));
  line.setAttribute("stroke-dasharray", dashOf(curve).join(" "));
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(line);
  return drawing;
}

function startPlot(figure) {
  const { x, curves, steps_are: stepName } = JSON.parse(document.getElementById(figure.dataset.plot).textContent);
  const columns = [x];
  const series = [{}];
  const bands = [];
  const keys = figure.querySelector(".keys");
  const at = make("span", "at");
  const values = [];
  const single = x.length === 1;
  for (const curve of curves) {
    const own = [series.length];
    const stroke = () => colourOf(curve);
    columns.push(curve.mean);
    series.push({ stroke, dash: dashOf(curve), width: curve.thin ? 1 : 2, spanGaps: true, points: { show: single } });
    if (curve.low.length) {
      const ends = [series.length, series.length + 1];
      columns.push(curve.high, curve.low);
      const edge = { stroke: "transparent", width: 0, spanGaps: true, points: { show: false } };
      series.push({ ...edge }, { ...edge });
      bands.push({ series: ends, fill: () => fade(colourOf(curve), 0.16) });
      own.push(...ends);
    }
    const key = make("button");
    key.type = "button";
    key.title = curve.name;
    key.setAttribute("aria-pressed", "true");
    const value = make("span", "value");
    key.append(swatch(curve), make("span", "name", curve.name), value);
    key.addEventListener("click", () => {
      const shown = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", String(shown));
      for (const number of own) plot.setSeries(number, { show: shown });
    });
    keys.append(key);
    values.push([value, curve]);
  }
  keys.append(at);

  function read(index) {
    const place = index ?? x.length - 1;
    at.textContent = `${stepName}: ${x[place]}`;
    for (const [value, curve] of values) {
      const mean = curve.mean[place];
      const ends = curve.low.length && curve.low[place] !== null
        ? ` [${curve.low[place].toFixed(1)}, ${curve.high[place].toFixed(1)}]` : "";
      value.textContent = mean === null ? ABSENT : mean.toFixed(1) + ends;
    }
  }

  const box = figure.querySelector(".canvas");
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { stroke: () => style("--soft"), grid: { stroke: () => style("--line"), width: 1 }, ticks: { show: false } };
  const height = () => Math.max(300, Math.min(420, box.clientWidth * 0.55));
  const plot = new uPlot({
    width: box.clientWidth,
    height: height(),
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: false, ...(single ? { range: [x[0] - 1, x[0] + 1] } : {}) },
      y: { range: (_, __, high) => [0, high > 0 ? Math.min(100, high * 1.05) : 1] },
    },
    axes: [{ ...axis, size: 28, label: stepName, labelSize: 22, labelFont: "13px system-ui, sans-serif" }, { ...axis, size: 44 }],
    series,
    bands,
    hooks: { setCursor: [(self) => read(self.cursor.idx)] },
  }, columns, box);
  plots.push(plot);
  read(null);
  new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: height() })).observe(box);
}

startTheme();
document.querySelectorAll("table.ranked").forEach(startTable);
document.querySelectorAll(".tools").forEach(startTools);
document.querySelectorAll("figure.plot").forEach(startPlot);
