// A search: its figure over the trials, validations, importances, and the figure over each parameter.

const STATES = { complete: "circle", pruned: "x-thin-open", running: "circle-open-dot", waiting: "circle-open", failed: "square-open" };

function buildSearch(search) {
  const ended = search.trials.filter((trial) => trial.value !== null);
  addSection("trials", "Trials", search.count, bestLine(search),
    make("div", { class: "grid" }, historyFigure(search, ended), validationFigure(search), importanceFigure(search)));
  addSection("parameters", "Parameters",
    `${search.figure} over each parameter. Crosses are pruned trials, by their last validation; darker marks are later trials.`,
    make("div", { class: "grid" }, search.parameters.map((one, place) => sliceFigure(search, ended, one, place))));
  addSection("table", "All trials", "", trialTable(search), reasonTable(search));
}

function bestLine(search) {
  if (!search.command) return null;
  return make("p", {}, "Train the best settings again: ", make("code", {}, search.command));
}

const shade = (count) => (isDark() ? [[0, "#24506e"], [1, "#bfe3ff"]] : [[0, "#b5d6ec"], [1, "#0b3c5d"]]);

function historyFigure(search, ended) {
  const better = search.better === "higher" ? Math.max : Math.min;
  const table = () => plainTable("Best so far", ["trial", search.figure, "best so far"], running().map(([trial, best]) => [trial.name, fixed(trial.value, 4), fixed(best, 4)]));
  function running() {
    let best = null;
    return ended.map((trial) => {
      if (trial.state === "complete") best = best === null ? trial.value : better(best, trial.value);
      return [trial, best];
    });
  }
  const draw = () => {
    const kinds = ["complete", "pruned"].map((state, place) => {
      const own = ended.filter((trial) => trial.state === state);
      return {
        x: own.map((trial) => trial.place), y: own.map((trial) => trial.value), customdata: own.map((trial) => trial.minutes),
        name: state, mode: "markers", marker: { symbol: STATES[state], size: 9, color: palette()[place ? 7 : 0], line: { width: 2, color: palette()[place ? 7 : 0] } },
        hovertemplate: "trial %{x}<br>%{y:.4f}<br>%{customdata:.1f} minutes<extra>%{fullData.name}</extra>",
      };
    });
    const steps = running().filter(([, best]) => best !== null);
    const line = {
      x: steps.map(([trial]) => trial.place), y: steps.map(([, best]) => best), name: "best so far", mode: "lines",
      line: { shape: "hv", width: 2, color: palette()[1] }, hoverinfo: "skip",
    };
    return { data: [line, ...kinds], layout: { showlegend: true, xaxis: { title: { text: "trial" }, dtick: search.trials.length > 12 ? undefined : 1 }, yaxis: { title: { text: chartName(search.figure) }, tickformat: "~g" } } };
  };
  return figure("history", "Over the trials", null, draw, table);
}

function validationFigure(search) {
  const own = search.trials.filter((trial) => trial.epochs.length);
  const draw = () => ({
    data: own.map((trial) => {
      const chosen = trial.place === search.best;
      const color = chosen ? palette()[1] : trial.state === "pruned" ? palette()[7] : palette()[0];
      return {
        x: trial.epochs, y: trial.curve, name: trial.name, mode: "lines+markers",
        line: { width: chosen ? 3 : 1.4, color, dash: trial.state === "pruned" ? "dot" : "solid" },
        marker: { size: trial.state === "pruned" ? 7 : 4, symbol: trial.state === "pruned" ? "x-thin" : "circle", line: { width: 1.5, color } },
        opacity: chosen ? 1 : 0.75, hovertemplate: `epoch %{x}<br>%{y:.4f}<extra>${chartName(trial.name)}, ${trial.state}</extra>`,
      };
    }),
    layout: { showlegend: false, xaxis: { title: { text: "epoch" }, dtick: own.some((trial) => trial.epochs.length > 12) ? undefined : 1 }, yaxis: { title: { text: chartName(search.figure) }, tickformat: "~g" } },
  });
  const table = () => plainTable("Validations", ["trial", "state", "validations", "last"],
    own.map((trial) => [trial.name, trial.state, whole(trial.epochs.length), fixed(trial.curve[trial.curve.length - 1], 4)]));
  return figure("validations", "Validations", "A line is a trial; dotted ones were pruned, the thick one is the best.", draw, table);
}

function importanceFigure(search) {
  if (!search.importances.length) return null;
  const rows = [...search.importances].reverse();
  const draw = () => ({
    data: [{
      type: "bar", orientation: "h", y: rows.map(([one]) => chartName(one, 40)), x: rows.map(([, value]) => value),
      marker: { color: palette()[0] }, hovertemplate: "%{y}<br>%{x:.3f}<extra></extra>",
    }],
    layout: { showlegend: false, xaxis: { title: { text: "share" }, range: [0, 1] }, yaxis: { type: "category" } },
  });
  const table = () => plainTable("Importance", ["parameter", "share"], search.importances.map(([one, value]) => [name(one, 60), fixed(value)]));
  return figure("importance", "Importance of the parameters", "PED-ANOVA of the trials that ran to their end.", draw, table);
}

function sliceFigure(search, ended, parameter, place) {
  const own = ended.filter((trial) => parameter.name in trial.values);
  const condition = parameter.condition ? `Exists when ${parameter.condition}: ` : "";
  const draw = () => {
    const data = ["complete", "pruned"].map((state) => {
      const some = own.filter((trial) => trial.state === state);
      const colors = some.map((trial) => trial.place);
      const scale = { color: colors, cmin: 0, cmax: Math.max(search.trials.length - 1, 1), colorscale: shade(), size: 9 };
      return {
        x: some.map((trial) => (parameter.choices ? chartName(trial.values[parameter.name], 24) : trial.values[parameter.name])),
        y: some.map((trial) => trial.value), mode: "markers", name: state, customdata: colors,
        marker: { ...scale, symbol: STATES[state], line: state === "pruned" ? { ...scale, width: 2 } : { width: 0 } },
        hovertemplate: "%{x}<br>%{y:.4f}<extra>trial %{customdata}</extra>",
      };
    });
    const drawn = own.map((trial) => trial.values[parameter.name]);
    const decades = parameter.log ? Math.log10(Math.max(...drawn) / Math.min(...drawn)) : 0;
    const axis = parameter.choices
      ? { type: "category", categoryorder: "array", categoryarray: parameter.choices.map((one) => chartName(one, 24)), range: [-0.5, parameter.choices.length - 0.5] }
      : (parameter.log ? { type: "log", dtick: decades < 1.5 ? "D2" : 1, tickformat: "~g" } : { type: "linear", tickformat: "~g" });
    return { data, layout: { showlegend: false, xaxis: { title: { text: chartName(parameter.name, 44) }, ...axis }, yaxis: { title: { text: chartName(search.figure) }, tickformat: "~g" } } };
  };
  const table = () => plainTable(parameter.name, ["trial", "value", search.figure], own.map((trial) => [trial.name, name(shownValue(trial.values[parameter.name])), fixed(trial.value, 4)]));
  return figure("slice-" + place, short(parameter.name, 44), condition + parameter.range, draw, table);
}

const shownValue = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value ?? "–"));

function trialTable(search) {
  return sortableTable("The titles sort", [
    { title: "trial", text: true, value: (trial) => trial.name, show: (trial) => name(trial.name) },
    { title: "state", value: (trial) => trial.state, show: (trial) => trial.state },
    { title: search.figure, value: (trial) => trial.value, show: (trial) => fixed(trial.value, 4) },
    ...search.parameters.map((one) => ({ title: one.name.split(".").pop(), text: Boolean(one.choices), value: (trial) => trial.values[one.name] ?? null, show: (trial) => name(shownValue(trial.values[one.name]), 30) })),
    { title: "minutes", value: (trial) => trial.minutes, show: (trial) => fixed(trial.minutes, 1) },
    ...(search.trials.some((trial) => trial.attempts > 1) ? [{ title: "attempts", value: (trial) => trial.attempts, show: (trial) => whole(trial.attempts) }] : []),
  ], search.trials);
}

// Sentences, which would make rows of the other table high.
function reasonTable(search) {
  const own = search.trials.filter((trial) => trial.reason);
  if (!own.length) return null;
  return sortableTable("Why trials failed, or were continued", [
    { title: "trial", text: true, sort: false, value: (trial) => trial.name, show: (trial) => name(trial.name) },
    { title: "reason", text: true, sort: false, value: (trial) => trial.reason, show: (trial) => name(trial.reason, 200) },
  ], own);
}
