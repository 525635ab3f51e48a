// Figures: a chart, its link, its numbers as a table. Charts are drawn when they come into view.

const figures = new Map();
let library = null;
// While a page is printed, charts have the widths of its columns on A4 paper (see @page), in pixels.
const PRINTED = { half: 314, wide: 674 };
let printing = false;

// The library is at the end of the page: figures in view may ask for it before it has arrived.
const arrived = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done, { once: true });
  else done();
});

function loadLibrary() {
  library ??= arrived.then(() => unpacked(byId("library").textContent)).then((bytes) => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(bytes);
    document.head.append(script);
    return typeof Plotly !== "undefined";
  }).catch(() => false);
  return library;
}

// draw() returns {data, layout}; table() returns an element or null.
function figure(key, title, text, draw, table, options = {}) {
  const plot = make("div", { class: "plot" + (options.tall ? " tall" : ""), role: "img", "aria-label": title });
  const details = table
    ? make("details", {}, make("summary", {}, "Numbers"), make("div", { class: "numbers" }))
    : null;
  const element = make(
    "figure",
    { id: "chart-" + key, "data-chart": key, tabindex: "-1", class: options.wide ? "wide" : null },
    make(
      "figcaption",
      {},
      make("h3", {}, title),
      make(
        "span",
        { class: "tools" },
        make("a", { href: "#chart=" + key, "aria-label": "Link to the chart " + title }, "link"),
        " ",
        make("button", { type: "button", "aria-label": "Save the chart as SVG: " + title, onclick: () => save(key) }, "SVG")
      )
    ),
    text ? make("p", {}, text) : null,
    plot,
    details
  );
  const entry = { element, plot, draw, table, details, drawn: false };
  if (details) details.addEventListener("toggle", () => fillTable(entry));
  figures.set(key, entry);
  plot.figureKey = key;
  seen.observe(plot);
  return element;
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) drawFigure(entry.target.figureKey);
}, { rootMargin: "300px" });

function fillTable(entry) {
  if (!entry.details || !entry.details.open) return;
  entry.details.querySelector(".numbers").replaceChildren(entry.table());
}

async function drawFigure(key) {
  const entry = figures.get(key);
  if (!entry || entry.drawn) return;
  entry.drawn = true;
  if (await loadLibrary()) renderFigure(entry);
  else entry.plot.replaceChildren(make("p", {}, "The chart library is not part of this page; see the numbers."));
}

function renderFigure(entry) {
  const { data, layout } = entry.draw();
  const fitted = themed(layout);
  fitted.autosize = !printing;
  if (printing) fitted.width = entry.element.classList.contains("wide") ? PRINTED.wide : PRINTED.half;
  Plotly.react(entry.plot, data, fitted, { displayModeBar: false, responsive: true });
}

function redraw(keys = [...figures.keys()]) {
  for (const key of keys) {
    const entry = figures.get(key);
    if (entry && entry.drawn && typeof Plotly !== "undefined") renderFigure(entry);
    if (entry) fillTable(entry);
  }
}

function save(key) {
  if (typeof Plotly === "undefined") return;
  Plotly.downloadImage(figures.get(key).plot, { format: "svg", width: 720, height: 420, filename: key });
}

function themed(layout) {
  const axis = {
    gridcolor: css("grid"), linecolor: css("line"), zerolinecolor: css("line"), automargin: true,
    title: { standoff: 8 },
  };
  const merged = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: css("text") },
    margin: { l: 48, r: 12, t: 8, b: 40 }, hovermode: "closest",
    hoverlabel: { bgcolor: css("ground"), bordercolor: css("line"), font: { color: css("text") } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    ...layout,
  };
  for (const key of Object.keys(merged)) {
    if (/^[xy]axis/.test(key)) merged[key] = { ...axis, ...merged[key], title: { ...axis.title, ...(merged[key].title || {}) } };
  }
  merged.xaxis ??= axis;
  merged.yaxis ??= axis;
  return merged;
}
