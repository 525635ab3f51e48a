// The list of samples, its filters, and the opened sample.

const ROWS = 100; // of the list at first; more are added on demand

function sampleSection(names, summary) {
  const section = { rows: [], shown: ROWS, order: "worst", opened: -1, reader: null, list: null, mosaics: {} };
  const body = make("tbody");
  const count = make("p", { class: "faint small", role: "status" });
  const search = make("input", { type: "search", id: "sample-search", oninput: () => filter() });
  const order = make("select", { onchange: () => filter() },
    make("option", { value: "worst" }, "highest error first"), make("option", { value: "best" }, "lowest error first"),
    make("option", { value: "misses" }, "most misses first"), make("option", { value: "false" }, "most false positives first"),
    make("option", { value: "time" }, "order of the tokens"));
  const least = make("input", { type: "number", min: "0", max: "1", step: "0.05", value: "0", oninput: () => filter() });
  const pictured = make("input", { type: "checkbox", onchange: () => filter() });
  const more = make("button", { type: "button", onclick: () => { section.shown += 10 * ROWS; show(); } }, "Show more");
  const table = make("table", {},
    make("caption", { class: "small" }, "Samples; a token opens its sample."),
    make("thead", {}, make("tr", {}, ["sample", "scene", "error", "hits", "misses", "false"].map((title, place) =>
      make("th", { scope: "col", class: place < 2 ? "text" : null }, title)))), body);
  const listBox = make("div", { class: "list", tabindex: "0", role: "region", "aria-label": "List of samples" }, table);
  const opened = make("div", { class: "opened", id: "opened", tabindex: "-1", role: "region", "aria-label": "Opened sample" },
    make("p", { class: "faint" }, "No sample is open."));
  section.element = [
    make("div", { class: "controls" },
      make("label", {}, "Token or scene ", search), make("label", {}, "Order ", order),
      make("label", {}, "Error at least ", least), make("label", {}, pictured, " with pictures")),
    make("div", { class: "samples" }, make("div", {}, count, listBox, more), opened),
  ];

  section.fill = (samples, pictures) => {
    section.list = samples.list;
    section.packed = samples.boxes;
    section.mosaics = pictures.mosaics || {};
    filter();
    const first = summary.worst[0];
    if (!location.hash.startsWith("#sample=") && first !== undefined) open(first, false);
  };

  function filter() {
    const list = section.list;
    if (!list) return;
    const wanted = search.value.trim().toLowerCase();
    const lowest = Number(least.value) || 0;
    section.rows = list.tokens.map((_, row) => row).filter((row) => list.error[row] >= lowest
      && (!pictured.checked || section.mosaics[list.tokens[row]])
      && (!wanted || list.tokens[row].toLowerCase().includes(wanted) || list.scenes[list.scene[row]].toLowerCase().includes(wanted)
        || list.descriptions[list.scene[row]].toLowerCase().includes(wanted)));
    const keys = { worst: (row) => -list.error[row], best: (row) => list.error[row], misses: (row) => -list.misses[row], false: (row) => -list.false[row], time: (row) => row };
    const key = keys[order.value];
    section.rows.sort((a, b) => key(a) - key(b) || a - b);
    section.shown = ROWS;
    show();
  }

  function show() {
    const list = section.list;
    body.replaceChildren(...section.rows.slice(0, section.shown).map((row) => make("tr", { "aria-current": row === section.opened ? "true" : null },
      make("th", { scope: "row" }, make("button", { type: "button", class: "link", onclick: () => open(row, true) }, name(list.tokens[row], 20))),
      make("td", { class: "text" }, name(list.scenes[list.scene[row]], 26)),
      make("td", {}, fixed(list.error[row], 2)), make("td", {}, String(list.hits[row])),
      make("td", {}, String(list.misses[row])), make("td", {}, String(list.false[row])))));
    more.hidden = section.rows.length <= section.shown;
    count.textContent = `${whole(section.rows.length)} of ${whole(list.tokens.length)} samples` + (more.hidden ? "" : `, the first ${whole(section.shown)} are listed`);
  }

  async function open(row, focus) {
    const list = section.list;
    section.opened = row;
    show();
    section.reader ??= boxReader(section.packed);
    const read = await section.reader;
    if (section.opened !== row) return;
    renderSample(opened, list, row, read(row), names, section, (other) => open(other, true));
    if (focus) {
      history.replaceState(null, "", "#sample=" + encodeURIComponent(list.tokens[row]));
      opened.focus({ preventScroll: true });
      opened.scrollIntoView({ block: "nearest" });
    }
  }

  section.openToken = (token) => {
    const row = section.list ? section.list.tokens.indexOf(token) : -1;
    if (row >= 0) open(row, true);
    return row >= 0;
  };
  section.openRow = (row) => open(row, true);
  return section;
}

function renderSample(place, list, row, boxes, names, section, open) {
  const token = list.tokens[row];
  const scene = list.scene[row];
  const view = make("div");
  const table = make("div");
  const useOperating = make("input", { type: "checkbox", checked: true, onchange: () => update() });
  const score = make("input", { type: "range", min: "0", max: "1", step: "0.01", value: "0.3", "aria-label": "Least score", oninput: () => { useOperating.checked = false; update(); } });
  const scoreText = make("output", {}, "");
  const reach = Math.min(120, Math.max(20, Math.ceil(Math.max(...boxes.gt.concat(boxes.predicted.filter((box) => box.counted)).map((box) => Math.max(Math.abs(box.x), Math.abs(box.y))), 15) / 5) * 5 + 3));

  function update() {
    const shown = outcomes(boxes, useOperating.checked ? null : Number(score.value));
    scoreText.textContent = useOperating.checked ? "" : ` ${Number(score.value).toFixed(2)}`;
    view.replaceChildren(bevView(shown, names, reach));
    table.replaceChildren(boxTable(shown, names));
  }

  const step = (by) => {
    const next = section.rows[section.rows.indexOf(row) + by];
    if (next !== undefined) open(next);
  };
  const mosaic = section.mosaics[token];
  place.replaceChildren(
    make("div", { class: "controls screen" },
      make("button", { type: "button", onclick: () => step(-1) }, "Previous"), make("button", { type: "button", onclick: () => step(1) }, "Next"),
      make("a", { href: "#sample=" + encodeURIComponent(token) }, "link")),
    make("h3", {}, "Sample ", name(token)),
    make("p", { class: "small" }, "Scene ", name(list.scenes[scene]), list.descriptions[scene] ? ": " : "", list.descriptions[scene] ? name(list.descriptions[scene], 200) : null),
    make("p", {}, `Error ${fixed(list.error[row])}: ${list.hits[row]} hits, ${list.misses[row]} misses, ${list.false[row]} false positives.`),
    ...[mosaic ? make("img", { class: "mosaic", src: mosaic, alt: `Cameras and bird's-eye view of sample ${short(token)} with predicted and annotated boxes` }) : ""],
    view, bevKey(),
    make("div", { class: "controls" }, make("label", {}, useOperating, " operating scores of the classes"), make("label", {}, "or score from ", score, scoreText)),
    make("details", {}, make("summary", {}, "Boxes"), table));
  update();
}

function boxTable(boxes, names) {
  return sortableTable("Boxes of the sample, ego frame", [
    { title: "class", text: true, value: (box) => names[box.label] ?? "", show: (box) => name(names[box.label] ?? "class " + box.label, 24) },
    { title: "outcome", text: true, value: (box) => OUTCOMES[box.outcome] },
    { title: "score", value: (box) => box.score, show: (box) => fixed(box.score) },
    { title: "x (m)", value: (box) => box.x, show: (box) => fixed(box.x, 1) },
    { title: "y (m)", value: (box) => box.y, show: (box) => fixed(box.y, 1) },
    { title: "distance", value: (box) => Math.hypot(box.x, box.y), show: (box) => fixed(Math.hypot(box.x, box.y), 1) },
    { title: "speed (m/s)", value: (box) => (box.vx === null ? null : Math.hypot(box.vx, box.vy)), show: (box) => (box.vx === null ? "–" : fixed(Math.hypot(box.vx, box.vy), 1)) },
  ], boxes);
}
