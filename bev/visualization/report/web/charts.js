// The charts of an evaluation and of a training run.

// Okabe and Ito's colours, which colour-blind readers tell apart; lighter on dark ground.
const DISTANCE_DASH = ["solid", "dash", "dashdot", "dot"];

function palette() {
  return isDark()
    ? ["#56b4e9", "#e69f00", "#2fc99b", "#f0e442", "#ff8a5c", "#e29ac5", "#9fb3ff", "#c0c6cf"]
    : ["#0072b2", "#b86e00", "#007d5c", "#8a7b00", "#c44a00", "#a8478a", "#3f51b5", "#4d5663"];
}

function isDark() {
  return getComputedStyle(document.documentElement).colorScheme.includes("dark");
}

function distanceColors() {
  return isDark() ? ["#bfe3ff", "#7cc0f5", "#3d93d6", "#2a6ca5"] : ["#9cc9e8", "#4f9fd0", "#1f6fa8", "#123f66"];
}

function chosenClass(select) {
  return select.value === "" ? -1 : Number(select.value);
}

function classSelect(names, all, label, change) {
  const select = make("select", { onchange: change },
    make("option", { value: "" }, all),
    names.map((one, place) => make("option", { value: place }, short(one, 40))));
  return { select, element: make("label", {}, label + " ", select) };
}

function curveFigures(analysis) {
  const grid = make("div", { class: "grid" });
  const most = 24;
  const names = analysis.names;
  const { select, element } = classSelect(names, names.length > most ? `The first ${most}` : "All classes", "Class", show);
  names.forEach((one, place) => {
    const own = analysis.curves.filter((curve) => curve.name === one);
    const key = place ? "curves-" + place : "curves";
    const drawn = figure(key, short(one, 40), null, () => curveChart(own, analysis.operating[one]),
      () => curveTable(own));
    grid.append(drawn);
  });
  function show() {
    const chosen = chosenClass(select);
    [...grid.children].forEach((child, place) => { child.hidden = chosen >= 0 ? place !== chosen : place >= most; });
  }
  show();
  return [make("div", { class: "controls" }, element), grid];
}

function curveChart(curves, operating) {
  const recall = Array.from({ length: 101 }, (_, i) => i / 100);
  const colors = distanceColors();
  return {
    data: curves.map((curve, place) => ({
      x: recall, y: curve.precision, name: `${curve.distance} m`, mode: "lines",
      line: { color: colors[place % 4], width: 2, dash: DISTANCE_DASH[place % 4] },
      customdata: curve.score,
      hovertemplate: `within ${curve.distance} m<br>recall %{x:.2f}<br>precision %{y:.3f}<br>score ≥ %{customdata:.3f}<extra></extra>`,
    })),
    layout: {
      xaxis: { title: { text: "recall" }, range: [0, 1] },
      yaxis: { title: { text: "precision" }, range: [0, 1.02] },
      // The metric leaves out recall and precision below 0.1.
      shapes: [
        { type: "rect", x0: 0, x1: 0.1, y0: 0, y1: 1.02, fillcolor: css("line"), opacity: 0.35, line: { width: 0 }, layer: "below" },
        { type: "rect", x0: 0.1, x1: 1, y0: 0, y1: 0.1, fillcolor: css("line"), opacity: 0.35, line: { width: 0 }, layer: "below" },
      ],
    },
  };
}

function curveTable(curves) {
  const rows = [10, 20, 30, 40, 50, 60, 70, 80, 90].map((recall) => [
    (recall / 100).toFixed(1), ...curves.map((curve) => (curve.precision[recall] ? `${fixed(curve.precision[recall])} (${fixed(curve.score[recall], 2)})` : "–")),
  ]);
  return plainTable("Precision (and score) at recall", ["recall", ...curves.map((curve) => curve.distance + " m")], rows);
}

function groupFigures(analysis) {
  const { select, element } = classSelect(analysis.names, "All classes (mean)", "Class", () => redraw(keys));
  const keys = analysis.groups.map((group) => group.name);
  const drawn = analysis.groups.map((group) => {
    const shared = group.shared ? " Detections have none; false positives are shared out by the groups' ground truth." : "";
    return figure(group.name, group.title, group.rule + shared, () => groupChart(group, chosenClass(select)),
      () => groupTable(group, analysis.names));
  });
  return [make("div", { class: "controls" }, element), make("div", { class: "grid" }, drawn)];
}

function groupChart(group, chosen) {
  const values = chosen < 0 ? group.mean : group.ap[chosen];
  const counts = chosen < 0 ? group.total : group.count[chosen];
  return {
    data: [{
      type: "bar", x: group.groups.map((one) => chartName(one).replace(/ /g, "<br>")), y: values, customdata: counts, marker: { color: palette()[0] },
      text: values.map((value) => (value === null ? "" : value.toFixed(2))), textposition: "outside", cliponaxis: false,
      hovertemplate: "%{x}<br>AP %{y:.3f}<br>%{customdata} ground-truth boxes<extra></extra>",
    }],
    layout: {
      showlegend: false, xaxis: { type: "category", tickangle: 0 },
      yaxis: { title: { text: chosen < 0 ? "mean AP" : "AP" }, rangemode: "tozero", range: [0, Math.max(0.1, ...values.map((v) => v ?? 0)) * 1.15] },
    },
  };
}

function groupTable(group, names) {
  const cell = (ap, count) => (count ? `${fixed(ap)} (${whole(count)})` : "–");
  const rows = [["mean", ...group.mean.map((ap, g) => cell(ap, group.total[g]))],
    ...names.map((one, c) => [name(one, 30), ...group.ap[c].map((ap, g) => cell(ap, group.count[c][g]))])];
  return plainTable("AP (ground-truth boxes)", ["class", ...group.groups], rows);
}

function confusionFigure(analysis) {
  const names = [...analysis.names.map((one) => chartName(one, 22))];
  const annotated = [...names, "background"];
  const predicted = [...names, "missed"];
  const counts = analysis.confusion;
  const shares = counts.map((row) => {
    const total = row.reduce((sum, value) => sum + value, 0);
    return row.map((value) => (total ? value / total : null));
  });
  const draw = () => ({
    data: [{
      type: "heatmap", x: predicted.map((_, i) => i), y: annotated.map((_, i) => i), z: shares,
      customdata: counts.map((row, a) => row.map((value, p) => [value, annotated[a], predicted[p]])),
      zmin: 0, zmax: 1, xgap: 1, ygap: 1,
      colorscale: isDark() ? [[0, "#191e27"], [1, "#3d93d6"]] : [[0, "#f6f7f9"], [1, "#1f6fa8"]],
      colorbar: { thickness: 10, outlinewidth: 0, tickformat: ".0%" },
      text: counts.map((row) => row.map((value) => (names.length <= 12 && value ? String(value) : ""))), texttemplate: "%{text}",
      hovertemplate: "annotated: %{customdata[1]}<br>predicted: %{customdata[2]}<br>%{customdata[0]} boxes, %{z:.1%} of the row<extra></extra>",
    }],
    layout: {
      margin: { l: 120, r: 10, t: 10, b: 90 },
      xaxis: { title: { text: "predicted" }, tickvals: predicted.map((_, i) => i), ticktext: predicted, tickangle: -40, showgrid: false },
      yaxis: { title: { text: "annotated" }, tickvals: annotated.map((_, i) => i), ticktext: annotated, autorange: "reversed", showgrid: false },
    },
  });
  const table = () => plainTable("Boxes by annotated class (rows) and predicted class (columns)",
    ["annotated", ...analysis.names.map((one) => short(one, 22)), "missed"],
    counts.map((row, place) => [place < names.length ? name(analysis.names[place], 30) : "background", ...row.map(whole)]));
  return figure("confusion", "Confusion between classes",
    "Each ground-truth box has the class of the best detection within 2 m of its centre, whatever its class; detections count from the operating score of their class on. Colours are shares of a row.",
    draw, table, { wide: true, tall: true });
}

function errorFigures(analysis) {
  const { select, element } = classSelect(analysis.names, "All classes", "Class", () => redraw(keys));
  const keys = analysis.errors.map((one) => one.name);
  const drawn = analysis.errors.filter((one) => one.total.length).map((one) =>
    figure(one.name, one.title, one.rule, () => histogram(one, select, analysis.names), () => quantileTable(one, analysis)));
  return [make("div", { class: "controls" }, element), make("div", { class: "grid" }, drawn)];
}

function histogram(one, select, names) {
  const chosen = chosenClass(select);
  const counts = (chosen < 0 ? one.total : one.counts[names[chosen]]) || [];
  const sum = counts.reduce((total, value) => total + value, 0);
  const middle = counts.map((_, i) => (one.edges[i] + one.edges[i + 1]) / 2);
  return {
    data: [{
      type: "bar", x: middle, y: counts.map((value) => value / Math.max(sum, 1)), customdata: counts, marker: { color: palette()[0] },
      width: one.edges[1] - one.edges[0],
      hovertemplate: "about %{x:.3g}<br>%{customdata} hits, %{y:.1%}<extra></extra>",
    }],
    layout: { showlegend: false, bargap: 0.06, xaxis: { range: [one.edges[0], one.edges[one.edges.length - 1]] }, yaxis: { title: { text: "share of hits" }, tickformat: ".0%" } },
  };
}

function quantileTable(one, analysis) {
  const rows = analysis.names.filter((key) => one.quantiles[key]).map((key) => [
    name(key, 30), whole(one.counts[key].reduce((a, b) => a + b, 0)), ...one.quantiles[key].map((value) => fixed(value, 2)),
  ]);
  return plainTable("Hits and quantiles of the error", ["class", "hits", ...analysis.quantiles.map((q) => (100 * q).toFixed(0) + " %")], rows);
}

function calibrationFigures(analysis) {
  const all = analysis.calibration;
  if (!all.all) return [make("p", {}, "There are no detections, or their scores are not between 0 and 1, so their calibration is not defined.")];
  const names = analysis.names.filter((one) => all.classes[one]);
  const { select, element } = classSelect(names, "All classes", "Class", () => redraw(["calibration", "score-counts"]));
  const own = () => (chosenClass(select) < 0 ? all.all : all.classes[names[chosenClass(select)]]);
  const table = () => plainTable("Expected calibration error", ["class", "detections", "error"],
    [["all classes", whole(sumOf(all.all.count)), fixed(all.all.error)],
      ...names.map((one) => [name(one, 30), whole(sumOf(all.classes[one].count)), fixed(all.classes[one].error)])]);
  const reliability = figure("calibration", "Precision of detections of about one score",
    `Calibrated scores lie on the diagonal. Expected calibration error of all classes: ${fixed(all.all.error)}.`,
    () => calibrationChart(own()), table);
  const counts = figure("score-counts", "Scores of detections", "Numbers of detections in each tenth of the scores.",
    () => ({
      data: [{ type: "bar", x: own().count.map((_, i) => (i + 0.5) / 10), y: own().count, width: 0.094, marker: { color: palette()[7] }, hovertemplate: "%{y} detections<extra></extra>" }],
      layout: { showlegend: false, xaxis: { title: { text: "score" }, range: [0, 1] }, yaxis: { title: { text: "detections" } } },
    }), null);
  return [make("div", { class: "controls" }, element), make("div", { class: "grid" }, reliability, counts)];
}

const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

function calibrationChart(one) {
  return {
    data: [
      { x: [0, 1], y: [0, 1], mode: "lines", line: { color: css("faint"), dash: "dot", width: 1 }, hoverinfo: "skip" },
      {
        x: one.score, y: one.precision, customdata: one.count, mode: "lines+markers", connectgaps: false,
        line: { color: palette()[0] }, marker: { size: 8 },
        hovertemplate: "mean score %{x:.3f}<br>precision %{y:.3f}<br>%{customdata} detections<extra></extra>",
      },
    ],
    layout: { showlegend: false, xaxis: { title: { text: "score" }, range: [0, 1] }, yaxis: { title: { text: "precision (hits within 2 m)" }, range: [0, 1.02] } },
  };
}

function trainingFigures(charts) {
  const dashes = ["solid", "dash", "dot", "dashdot"];
  return make("div", { class: "grid" }, charts.map((chart) => figure(chart.name, chart.title, null, () => ({
    data: chart.curves.map((curve, place) => ({
      x: curve.steps, y: curve.values, name: chartName(curve.name.replace(/^(train|val)\//, "")),
      mode: curve.steps.length > 60 ? "lines" : "lines+markers", marker: { size: 5 },
      line: { width: 1.6, color: palette()[place % 8], dash: dashes[Math.floor(place / 8) % 4] },
      hovertemplate: "step %{x}<br>%{y:.4g}<extra>%{fullData.name}</extra>",
    })),
    layout: { xaxis: { title: { text: "step" } }, yaxis: { rangemode: chart.name === "training-losses" ? "normal" : "tozero" }, showlegend: true },
  }), () => trainingTable(chart))));
}

function trainingTable(chart) {
  return plainTable("First, best and last values", ["curve", "steps", "first", "least", "greatest", "last"], chart.curves.map((curve) => {
    const known = curve.values.filter((value) => value !== null);
    const show = (value) => (value === undefined || !Number.isFinite(value) ? "–" : value.toPrecision(4));
    return [name(curve.name), whole(curve.steps[curve.steps.length - 1] ?? 0), show(known[0]), show(Math.min(...known)), show(Math.max(...known)), show(known[known.length - 1])];
  }));
}
