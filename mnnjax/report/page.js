// The page's life: charts from the figures' numbers, and tables that sort and filter. Without this the page shows the
// pictures and the tables as they are.
"use strict";

const DARK = matchMedia("(prefers-color-scheme: dark)");
// Panels stand below each other in windows up to this width, in pixels.
const NARROW = 640;

function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Colours that are made for white paper, on a dark page: edges vanish, and what is nearly black gets lighter.
function onPage(color) {
  if (!DARK.matches || typeof color !== "string") return color;
  if (color === "#ffffff") return ink("--paper");
  const parts = [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));
  const light = (0.3 * parts[0] + 0.59 * parts[1] + 0.11 * parts[2]) / 255;
  const mix = light < 0.4 ? 0.75 * (0.4 - light) / 0.4 + 0.15 : 0;
  return `rgb(${parts.map((part) => Math.round(part + (255 - part) * mix))})`;
}

function coloured(part) {
  const copy = { ...part };
  for (const key of ["color", "fillcolor"]) {
    // Many colours are a scale, which the colour bar explains.
    if (key in copy) copy[key] = onPage(copy[key]);
  }
  for (const key of ["line", "marker"]) if (key in copy) copy[key] = coloured(copy[key]);
  return copy;
}

// 1, 2 and 5 times the powers of ten, with their numbers in full.
function decimals(low, high) {
  const values = [];
  for (let power = Math.floor(low) - 1; power <= high + 1; power++) values.push(...[1, 2, 5].map((k) => Number(`${k}e${power}`)));
  return values;
}

function axis(settings, domain, anchor, side, shown, pixels, narrow) {
  const made = {
    type: settings.type, range: settings.range, domain, anchor, title: { text: shown ? settings.title : "", standoff: 6 },
    showgrid: settings.grid, gridcolor: ink("--line"), linecolor: ink("--quiet"), showline: true, zeroline: false,
    ticks: "outside", tickcolor: ink("--quiet"), automargin: true, exponentformat: "power", tickangle: 0,
    nticks: Math.max(3, Math.round((domain[1] - domain[0]) * pixels / 60)),
  };
  if (settings.matches) made.matches = side + (settings.matches > 1 ? settings.matches : "");
  if (settings.tickvals) {
    // Long names take several lines where there is little room.
    const texts = settings.ticktext.map((text) => (narrow && side === "y" ? text.replaceAll(", ", "<br>") : text));
    Object.assign(made, { tickmode: "array", tickvals: settings.tickvals, ticktext: texts });
  }
  if (settings.type === "log") {
    const [low, high] = settings.range;
    if (high - low > 0.6 && high - low < 2.6 && low > -4) {
      const ticks = decimals(low, high);
      Object.assign(made, { tickmode: "array", tickvals: ticks, ticktext: ticks.map(String) });
    }
  }
  return made;
}

function layoutOf(chart, width) {
  const narrow = width < NARROW, count = chart.panels.length;
  const height = narrow ? 330 * count + 60 : Math.max(340, chart.height * Math.min(1, width / 900));
  const layout = {
    width, height, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", barmode: "overlay", bargap: 0,
    font: { family: getComputedStyle(document.body).fontFamily, size: narrow ? 12 : 13, color: ink("--ink") },
    margin: { l: 20, r: narrow ? 8 : 24, t: 34, b: 20 }, hovermode: "closest", dragmode: narrow ? false : "zoom",
    hoverlabel: { bgcolor: ink("--faint"), font: { color: ink("--ink") }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink("--quiet"), activecolor: ink("--ink") },
    legend: { orientation: "h", x: 0, y: 1 + 34 / height, yanchor: "bottom" }, annotations: [],
  };
  const gaps = [86 / width, 78 / height];
  const place = (ends, gap, flip) => {
    const low = ends[0] * (1 + gap), high = ends[1] * (1 + gap) - gap;
    return (flip ? [1 - high, 1 - low] : [low, high]).map((end) => Math.min(1, Math.max(0, end)));
  };
  chart.panels.forEach((panel, index) => {
    const number = index + 1;
    // The panel below, or to the left, has the same words.
    const below = (p) => p.columns[0] === panel.columns[0] && p.rows[0] >= panel.rows[1] - 1e-6 && p.x.title === panel.x.title;
    const left = (p) => p.rows[0] === panel.rows[0] && p.columns[0] < panel.columns[0] && p.y.title === panel.y.title;
    const x = narrow ? [0, 1] : place(panel.columns, gaps[0], false);
    const y = place(narrow ? [index / count, number / count] : panel.rows, narrow ? 84 / height : gaps[1], true);
    // Plotly's first axis has no number.
    const name = number > 1 ? number : "";
    layout[`xaxis${name}`] = axis(panel.x, x, `y${name}`, "x", narrow || !chart.panels.some(below), width, narrow);
    layout[`yaxis${name}`] = axis(panel.y, y, `x${name}`, "y", narrow || !chart.panels.some(left), height, narrow);
    const title = narrow ? panel.whole_title : panel.title;
    const fixed = { showarrow: false, xref: "paper", yref: "paper" };
    if (title) layout.annotations.push({ ...fixed, text: title, x: (x[0] + x[1]) / 2, y: y[1], xanchor: "center", yanchor: "bottom", font: { size: 14 } });
    if (panel.side && !narrow) layout.annotations.push({ ...fixed, text: panel.side, x: x[1], y: (y[0] + y[1]) / 2, textangle: 90, xanchor: "left", yanchor: "middle", font: { size: 12 } });
    for (const note of panel.notes) {
      layout.annotations.push({ x: note.x, y: note.y, text: note.text, showarrow: false, xref: `x${name}`, yref: `y${name}`, font: { color: note.color, size: 11 } });
    }
  });
  return layout;
}

function traces(chart) {
  return chart.data.map((trace) => {
    const made = coloured(trace);
    if (made.xaxis === "x1") Object.assign(made, { xaxis: "x", yaxis: "y" });
    if (!made.hoverinfo) {
      const panel = chart.panels[Number(made.xaxis.slice(1) || 1) - 1];
      const lines = [made.name, `${panel.x.title || "x"}: %{x:.4~g}`, `${panel.y.title || panel.title || "y"}: %{y:.4~g}`];
      made.hovertemplate = lines.filter(Boolean).join("<br>") + "<extra></extra>";
    }
    return made;
  });
}

function draw(figure) {
  const chart = JSON.parse(figure.querySelector("script").textContent), target = figure.querySelector(".chart");
  // A folded part has no width; it is drawn when it is unfolded.
  if (!figure.clientWidth) return;
  figure.classList.add("live");
  const displayModeBar = figure.clientWidth < NARROW ? false : "hover";
  const options = { displayModeBar, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  Plotly.react(target, traces(chart), layoutOf(chart, figure.clientWidth), options);
}

function value(row, column) {
  const cell = row.cells[column];
  return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent.trim();
}

// Numbers before texts, what is missing last, in either direction.
function compare(a, b, sign) {
  const missing = (x) => x === "-" || Number.isNaN(x);
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortable(table) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    head.classList.add("sortable");
    head.tabIndex = 0;
    const sort = () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows].sort((a, b) => compare(value(a, column), value(b, column), sign));
      table.tBodies[0].append(...rows);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}

function filterable(table) {
  const input = document.createElement("input");
  Object.assign(input, { type: "search", placeholder: "filter rows: 20 kink" });
  input.setAttribute("aria-label", "Show only rows that contain all of these words");
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of table.tBodies[0].rows) {
      const cells = [...row.cells].map((cell) => cell.textContent.trim().toLowerCase());
      // A number means the whole cell, a word a part of it.
      const has = (word) => cells.some((cell) => (/^[\d.]+$/.test(word) ? cell === word : cell.includes(word)));
      row.hidden = !words.every(has);
    }
  });
  table.closest(".table").querySelector(".tools").prepend(input);
}

const figures = [...document.querySelectorAll("figure:has(.chart)")];
const drawAll = () => figures.forEach(draw);
drawAll();
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
DARK.addEventListener("change", drawAll);
for (const folded of document.querySelectorAll("details")) {
  folded.addEventListener("toggle", () => figures.filter((figure) => folded.contains(figure)).forEach(draw));
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((folded) => { folded.open = true; }));
for (const table of document.querySelectorAll("table.data")) {
  if (table.tBodies[0].rows.length > 1) sortable(table);
  if (table.tBodies[0].rows.length > 5) filterable(table);
}
