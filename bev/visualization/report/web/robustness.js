// A robustness suite: every condition beside the clean data.

function buildRobustness(own) {
  if (own.summary.length) {
    addSection("summary", "Summary", "Ratios are means over conditions, 1 for a model that nothing disturbs.",
      sortableTable("Summary figures, %", [
        { title: "figure", text: true, value: (row) => row[0], show: (row) => name(row[0], 80) },
        { title: "%", value: (row) => row[1], show: (row) => row[1] === null ? "–" : (100 * row[1]).toFixed(2) },
      ], own.summary));
  }
  const levels = own.curves.filter((curve) => curve.points.length > 1);
  const parts = [["corruptions", "Corrupted images", (group) => group === "corruptions"], ["errors", "Wrong calibrations and late images", (group) => group !== "corruptions"]];
  const charts = parts.map(([key, title, of]) => [key, title, levels.filter((curve) => of(curve.group))]).filter((part) => part[2].length)
    .map(([key, title, curves]) => figure(key, title, `${short(own.main)} over the level; the dashed line is that of the clean data.`, () => levelChart(own, curves), () => levelTable(own, curves), { wide: true }));
  const cameras = own.rows.filter((row) => row.group === "dropped" || row.group === "alone");
  if (cameras.length) charts.push(figure("cameras", "Cameras", `${short(own.main)} with a camera dropped, or with one camera alone.`, () => cameraChart(own, cameras), null, { wide: true }));
  const dropped = own.rows.filter((row) => row.group === "dropped").sort((a, b) => mostLost(own, a) - mostLost(own, b));
  if (dropped.length && own.sectors.length) {
    charts.push(figure("azimuth", "By azimuth", "Change of the mean AP of the ground truth in sectors of 60 degrees around the vehicle, when a camera is dropped.",
      () => azimuthChart(own, dropped), () => azimuthTable(own, dropped), { wide: true }));
  }
  if (charts.length) addSection("charts", "Charts", "", make("div", { class: "grid" }, charts));
  const titles = new Map(own.groups);
  addSection("conditions", "Conditions", "Ratio: the condition's first figure over that of the clean data.", sortableTable("Figures; the titles sort", [
    { title: "condition", text: true, value: (row) => row.name, show: (row) => name(row.name, 60) },
    { title: "group", text: true, value: (row) => row.group, show: (row) => name(titles.get(row.group) || "", 90) },
    ...own.columns.map((column, place) => ({ title: column, value: (row) => row.values[place], show: (row) => fixed(row.values[place]) })),
    { title: "ratio", value: (row) => row.ratio, show: (row) => fixed(row.ratio) },
  ], own.rows));
}

const LEVEL_DASH = ["solid", "dash", "dashdot", "dot"];

function levelChart(own, curves) {
  const most = Math.max(...curves.map((curve) => curve.points.length));
  const x = ["clean", ...Array.from({ length: most }, (_, place) => "level " + (place + 1))];
  return {
    data: [
      { x, y: x.map(() => own.clean), mode: "lines", name: "clean", line: { color: css("faint"), width: 1, dash: "dash" }, hoverinfo: "skip", showlegend: false },
      ...curves.map((curve, place) => ({
        x, y: [own.clean, ...curve.points.map((point) => point[1])], customdata: ["clean", ...curve.points.map((point) => point[0])],
        name: chartName(curve.name), mode: "lines+markers", marker: { symbol: place % 8 }, line: { color: palette()[place % 8], width: 2, dash: LEVEL_DASH[Math.floor(place / 2) % 4] },
        hovertemplate: `%{customdata}<br>${own.main} %{y:.3f}<extra>%{fullData.name}</extra>`,
      })),
    ],
    layout: { showlegend: true, xaxis: { type: "category" }, yaxis: { title: { text: own.main }, rangemode: "tozero" } },
  };
}

function levelTable(own, curves) {
  return plainTable(own.main, ["kind", "clean", "level 1", "level 2", "level 3"],
    curves.map((curve) => [name(curve.name, 40), fixed(own.clean), ...[0, 1, 2].map((place) => fixed(curve.points[place] ? curve.points[place][1] : null))]));
}

function cameraChart(own, rows) {
  return {
    data: ["dropped", "alone"].map((group, place) => {
      const part = rows.filter((row) => row.group === group);
      return {
        type: "bar", name: group === "dropped" ? "dropped" : "alone", marker: { color: palette()[place] },
        x: part.map((row) => chartName(row.name.replace(/^(without|only) /, "")).replace(/_/g, " ").replace(/ /g, "<br>")), y: part.map((row) => row.values[0]),
        hovertemplate: `%{x}<br>${own.main} %{y:.3f}<extra>%{fullData.name}</extra>`,
      };
    }),
    layout: {
      barmode: "group", showlegend: true, xaxis: { type: "category", tickangle: 0 }, yaxis: { title: { text: own.main }, rangemode: "tozero" },
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: own.clean, y1: own.clean, line: { color: css("faint"), width: 1, dash: "dash" } }],
    },
  };
}

// Place of the sector that a camera's loss hits most: cameras in this order form a diagonal.
function mostLost(own, row) {
  const [changes] = azimuthChanges(own, [row]);
  return changes.reduce((best, value, place) => ((value ?? 0) < (changes[best] ?? 0) ? place : best), 0);
}

function azimuthChanges(own, dropped) {
  return dropped.map((row) => own.sectors.map((_, place) => row.azimuth[place] === null || own.rows[0].azimuth[place] === null ? null : row.azimuth[place] - own.rows[0].azimuth[place]));
}

function azimuthChart(own, dropped) {
  const z = azimuthChanges(own, dropped);
  const reach = Math.max(0.01, ...z.flat().map((value) => Math.abs(value ?? 0)));
  const lines = (text) => chartName(text).replace(/[_ ]/g, "<br>");
  return {
    data: [{
      type: "heatmap", z, x: own.sectors.map(lines), y: dropped.map((row) => lines(row.name.replace(/^without (CAM_)?/, ""))), zmin: -reach, zmax: reach,
      colorscale: [[0, css("miss")], [0.5, css("ground")], [1, css("hit")]], showscale: false,
      text: z.map((row) => row.map(changed)), texttemplate: "%{text}", textfont: { size: 11 },
      hovertemplate: "%{y}<br>%{x}: %{z:.3f}<extra></extra>",
    }],
    layout: { xaxis: { type: "category", tickangle: 0, showgrid: false }, yaxis: { type: "category", autorange: "reversed", showgrid: false } },
  };
}

function changed(value) {
  if (value === null) return "–";
  const digits = Math.abs(value).toFixed(2);
  return digits === "0.00" ? digits : (value < 0 ? "−" : "+") + digits;
}

function azimuthTable(own, dropped) {
  const rows = [["clean", ...own.rows[0].azimuth.map((value) => fixed(value))], ...dropped.map((row) => [name(row.name, 40), ...row.azimuth.map((value) => fixed(value))])];
  return plainTable("Mean AP by azimuth", ["condition", ...own.sectors], rows);
}
