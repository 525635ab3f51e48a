// Several evaluations side by side; the others are compared with the first.

function buildComparison(comparison) {
  const { runs } = comparison;
  if (comparison.figures.length) addSection("metrics", "Metrics", comparison.note, comparedTable("Figures; the titles sort", "figure", comparison.figures, runs));
  if (comparison.classes.length) addSection("classes", "Average precision by class", "", comparedTable("AP by class", "class", comparison.classes, runs));
  if (comparison.groups.length) {
    addSection("groups", "By circumstance", "Mean average precision of parts of the boxes.",
      make("div", { class: "grid" }, comparison.groups.map((group) => comparedGroup(group, runs))));
  }
  if (comparison.samples.length) {
    addSection("samples", "Samples whose errors differ most", "A sample's error is 1 − F1 of its boxes at the operating scores of each evaluation.",
      sortableTable("Errors of samples", [
        { title: "sample", text: true, value: (row) => row.token, show: (row) => name(row.token, 40) },
        { title: "scene", text: true, value: (row) => row.scene, show: (row) => name(row.scene, 40) },
        ...runs.map((run, place) => ({ title: short(run, 24), value: (row) => row.errors[place], show: (row) => fixed(row.errors[place], 2) })),
        { title: "spread", value: spread, show: (row) => fixed(spread(row), 2) },
      ], comparison.samples));
  }
  if (comparison.training.length) addSection("training", "Training", "", trainingFigures(comparison.training));
  if (comparison.settings.length) {
    addSection("settings", "Settings that differ", "", sortableTable("Settings", [
      { title: "setting", text: true, value: (row) => row[0], show: (row) => name(row[0], 90) },
      ...runs.map((run, place) => ({ title: short(run, 24), text: true, value: (row) => row[place + 1], show: (row) => name(row[place + 1], 120) })),
    ], comparison.settings));
  }
}

const spread = (row) => Math.max(...row.errors) - Math.min(...row.errors);

function comparedTable(caption, first, rows, runs) {
  const columns = [{ title: first, text: true, value: (row) => row.name, show: (row) => name(row.name, 40) }];
  runs.forEach((run, place) => {
    columns.push({ title: short(run, 24), value: (row) => row.values[place], show: (row) => fixed(row.values[place]) });
    if (place) columns.push({ title: "difference", value: (row) => row.changes[place]?.value ?? null, show: (row) => changeText(row.changes[place], row.better || (first === "class" ? "higher" : "")) });
  });
  return sortableTable(caption, columns, rows);
}

function signed(value) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
}

// A difference whose interval excludes 0 is set in bold, with a word for whom it speaks.
function changeText(change, better) {
  if (!change || change.value === null) return "–";
  if (change.low === null) return signed(change.value);
  const clear = change.low > 0 || change.high < 0;
  const word = clear && better ? ((change.value > 0) === (better === "higher") ? " better" : " worse") : "";
  return make(clear ? "strong" : "span", {}, `${signed(change.value)} [${signed(change.low)}, ${signed(change.high)}]${word}`);
}

function comparedGroup(group, runs) {
  const draw = () => ({
    data: runs.map((run, place) => ({
      type: "bar", name: chartName(run), x: group.groups.map((one) => chartName(one).replace(/ /g, "<br>")), y: group.means[place], customdata: group.total,
      marker: { color: palette()[place % 8] }, hovertemplate: "%{x}<br>AP %{y:.3f}<br>%{customdata} ground-truth boxes<extra>%{fullData.name}</extra>",
    })),
    layout: { barmode: "group", showlegend: true, xaxis: { type: "category", tickangle: 0 }, yaxis: { title: { text: "mean AP" }, rangemode: "tozero" } },
  });
  const table = () => plainTable("Mean AP", ["evaluation", ...group.groups], runs.map((run, place) => [name(run, 30), ...group.means[place].map((value) => fixed(value))]));
  return figure(group.name, group.title, group.rule, draw, table);
}
