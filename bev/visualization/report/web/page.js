// Assembly of the page: sections, links, colours, printing.

const summary = content("summary");
const sections = byId("sections");
let samples = null;
let pending = null; // a sample asked for before the data are read

function addSection(id, title, text, ...children) {
  const heading = make("h2", { id: id + "-title" }, title);
  sections.append(make("section", { id, "aria-labelledby": id + "-title" }, heading, text ? make("p", { class: "faint" }, text) : null, children));
  byId("contents").append(make("li", {}, make("a", { href: "#" + id }, title)));
}

function headline() {
  return make("dl", { class: "headline" }, summary.headline.map((figure) => make("div", {},
    make("dt", {}, name(figure.name, 40)),
    make("dd", { class: "value" }, fixed(figure.value), figure.unit ? make("span", { class: "small faint" }, " " + figure.unit) : null),
    make("dd", { class: "small faint" }, figure.text + (figure.better ? ` ${figure.better[0].toUpperCase() + figure.better.slice(1)} is better.` : "")))));
}

function classTable() {
  const { columns, rows } = summary.classes;
  const operating = summary.analysis ? summary.analysis.operating : null;
  const all = [
    { title: "class", text: true, value: (row) => row[0], show: (row) => name(row[0]) },
    ...columns.map((column) => ({ title: column, value: (row) => row[1][column] ?? null, show: (row) => fixed(row[1][column]) })),
  ];
  if (operating) {
    const total = (row) => sumOf(summary.analysis.confusion[summary.analysis.names.indexOf(row[0])] || [0]);
    all.push({ title: "ground truth", value: total, show: (row) => whole(total(row)) });
    all.push({ title: "operating score", value: (row) => operating[row[0]] ?? null, show: (row) => fixed(operating[row[0]]) });
  }
  return sortableTable("By class; the titles sort", all, rows);
}

function build() {
  document.title = short(summary.title, 120);
  byId("title").append(name(summary.title, 160));
  byId("subtitle").append(name(summary.subtitle, 300));
  byId("notices").append(...summary.notices.map((text) => make("p", { class: "notice" }, name(text, 1500))));
  const late = make("div", { id: "late" });
  if (summary.pictures_first) sections.append(late);
  if (summary.comparison) buildComparison(summary.comparison);
  else if (summary.robustness) buildRobustness(summary.robustness);
  else if (summary.search) buildSearch(summary.search);
  else buildEvaluation();
  if (!summary.pictures_first) sections.append(late);
  if (summary.config || summary.provenance.length) {
    addSection("origin", "Origin", "", originTable(), differenceTable(),
      summary.config ? make("details", { id: "config" }, make("summary", {}, "Config"), make("pre", { tabindex: "0", "aria-label": "Config" }, summary.config)) : null);
  }
  byId("footer").textContent = "This file holds all that it shows, and opens without a network.";
}

function buildEvaluation() {
  if (summary.headline.length || summary.classes.rows.length) {
    addSection("metrics", "Metrics", "", headline(), summary.note ? make("p", { class: "faint" }, name(summary.note, 1500)) : null,
      summary.classes.rows.length ? classTable() : null);
  }
  const analysis = summary.analysis;
  if (analysis) {
    addSection("curves", "Precision and recall",
      "For hits within four distances; the pointer reads the score threshold. The metric leaves out the shaded part.", ...curveFigures(analysis));
    addSection("groups", "By circumstance",
      "Average precision of parts of the boxes, matched once as in the metric. Detections that match ground truth of another part are ignored; means are over classes with ground truth in the part.", ...groupFigures(analysis));
    addSection("mistakes", "Confusion", "", make("div", { class: "grid" }, confusionFigure(analysis)));
    addSection("errors", "Errors of hits", "Of hits within 2 m, of any score.", ...errorFigures(analysis));
    addSection("scores", "Calibration", "", ...calibrationFigures(analysis));
    samples = sampleSection(analysis.names, summary);
    addSection("samples", "Samples",
      "A sample's error is 1 − F1 of its boxes, hits within 2 m, at the operating scores: for each class the score that maximises F1 over the split. Of the predicted boxes, the page holds those from half of it on, at most the best 60 of a sample, and all that count.", samples.element);
  }
  if (summary.training.length) addSection("training", "Training", "", trainingFigures(summary.training));
}

function originTable() {
  if (!summary.provenance.length) return null;
  return make("div", { class: "scroll" }, make("table", {}, make("tbody", {}, summary.provenance.map(([key, value]) =>
    make("tr", {}, make("th", { scope: "row" }, key), make("td", { class: "text" }, name(value, 1000)))))));
}

function differenceTable() {
  if (!summary.base) return null;
  if (!summary.differences.length) return make("p", {}, `The config is equal to ${short(summary.base)}.`);
  return sortableTable(`Settings that differ from ${short(summary.base)}`, [
    { title: "setting", text: true, value: (row) => row[0], show: (row) => name(row[0], 90) },
    { title: "here", text: true, value: (row) => row[1], show: (row) => name(row[1], 160) },
    { title: "there", text: true, value: (row) => row[2], show: (row) => name(row[2], 160) },
  ], summary.differences);
}

function pictureSection(pictures) {
  const place = byId("late");
  const list = content("samples-data").list;
  const thumbnails = (rows, title) => {
    const known = rows.filter((row) => pictures.mosaics[list.tokens[row]]);
    if (!known.length) return null;
    return make("section", { "aria-label": title }, make("h2", {}, title), make("div", { class: "pictures" }, known.slice(0, 4).map((row) => make("figure", {},
      make("figcaption", {}, make("h3", {}, make("button", { type: "button", class: "link", onclick: () => samples.openRow(row) }, name(list.tokens[row], 40))),
        make("span", { class: "small" }, "error " + fixed(list.error[row], 2))),
      make("img", { class: "mosaic", loading: "lazy", src: pictures.mosaics[list.tokens[row]], alt: "Cameras and bird's-eye view of sample " + short(list.tokens[row]) })))));
  };
  if (samples) byId("samples").append(...[thumbnails(summary.worst, "Worst samples"), thumbnails(summary.best, "Best samples")].filter(Boolean));
  if (pictures.others && pictures.others.length) {
    place.append(make("section", { id: "pictures", "aria-labelledby": "pictures-title" }, make("h2", { id: "pictures-title" }, "Pictures"),
      make("div", { class: summary.pictures_first ? "pictures wide" : "pictures" }, pictures.others.map(([caption, source]) => make("figure", {},
        make("img", { class: "mosaic", src: source, alt: short(caption, 200) }), make("p", {}, name(caption, 200)))))));
    const link = make("li", {}, make("a", { href: "#pictures" }, "Pictures"));
    if (summary.pictures_first) byId("contents").prepend(link);
    else byId("contents").append(link);
  }
}

// Deep links: #sample=TOKEN opens a sample, #chart=NAME shows a chart.
function follow() {
  const [kind, value] = decoded(location.hash.slice(1));
  if (kind === "sample" && samples) {
    if (samples.list) { if (samples.openToken(value)) byId("samples").scrollIntoView(); }
    else pending = value;
  }
  const entry = kind === "chart" ? figures.get(value) : null;
  if (entry) {
    drawFigure(value);
    entry.element.hidden = false;
    entry.element.scrollIntoView({ block: "center" });
    entry.element.focus({ preventScroll: true });
  }
}

function decoded(hash) {
  const [kind, ...rest] = hash.split("=");
  try { return [kind, decodeURIComponent(rest.join("="))]; } catch { return [kind, ""]; }
}

function themes() {
  const button = byId("theme");
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", (theme === "dark" ? "Light" : "Dark") + " colours");
    redraw();
  };
  const preference = matchMedia("(prefers-color-scheme: dark)");
  set(preference.matches ? "dark" : "light");
  button.addEventListener("click", () => set(isDark() ? "light" : "dark"));
  preference.addEventListener("change", () => set(preference.matches ? "dark" : "light"));
  let before = "light";
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    printing = true;
    for (const [key, entry] of figures) if (!entry.element.hidden && !entry.drawn && typeof Plotly !== "undefined") { entry.drawn = true; renderFigure(entry); }
    if (byId("config")) byId("config").open = true;
    set("light");
  });
  addEventListener("afterprint", () => {
    printing = false;
    set(before);
  });
}

build();
themes();
addEventListener("hashchange", follow);
document.addEventListener("DOMContentLoaded", () => {
  // After the first paint: samples, pictures, then the library for charts.
  requestAnimationFrame(() => setTimeout(() => {
    const pictures = content("pictures-data");
    pictures.mosaics ??= {};
    if (samples) samples.fill(content("samples-data"), pictures);
    pictureSection(pictures);
    follow();
    loadLibrary().then(() => document.documentElement.dataset.ready = "yes");
  }));
});
