// The bird's-eye view of a sample, drawn from its boxes: x (forward) is up, y (left) is left.

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A box: {x, y, length, width, yaw, vx, vy, label, outcome, score}; metres, ego frame.
// Outcomes: hit, false (of predicted boxes), found, missed (of ground truth).
const STYLES = {
  hit: { color: "hit", width: 0.32, dash: "", fill: 0.18 },
  false: { color: "false", width: 0.32, dash: "0.9 0.5", fill: 0.12 },
  found: { color: "text", width: 0.2, dash: "", fill: 0 },
  missed: { color: "miss", width: 0.42, dash: "1.6 0.5", fill: 0 },
};

const OUTCOMES = {
  hit: "prediction, hit", false: "prediction, false positive",
  found: "ground truth, found", missed: "ground truth, missed",
};

function bevView(boxes, names, reach) {
  const size = 2 * reach;
  const svg = draw("svg", { viewBox: `${-reach} ${-reach} ${size} ${size}`, role: "img",
    "aria-label": "Bird's-eye view, forward is up; rings every 10 metres" });
  for (let ring = 10; ring <= reach; ring += 10) {
    svg.append(draw("circle", { r: ring, fill: "none", style: "stroke: var(--grid)", "stroke-width": 0.18 }));
    svg.append(draw("text", { x: 0.6, y: -ring - 0.5, "font-size": reach / 30, style: "fill: var(--faint)" }, ring + " m"));
  }
  svg.append(draw("path", { d: "M0,-2.4 L1.1,1.6 L0,0.8 L-1.1,1.6 Z", style: "fill: var(--faint)" }));
  for (const outcome of ["found", "missed", "false", "hit"]) {
    for (const box of boxes) if (box.outcome === outcome) svg.append(boxShape(box, names));
  }
  return svg;
}

function boxShape(box, names) {
  const style = STYLES[box.outcome];
  const [cos, sin] = [Math.cos(box.yaw), Math.sin(box.yaw)];
  const at = (forward, left) => {
    const x = box.x + cos * forward - sin * left;
    const y = box.y + sin * forward + cos * left;
    return `${(-y).toFixed(2)},${(-x).toFixed(2)}`;
  };
  const [l, w] = [box.length / 2, box.width / 2];
  const shape = draw("g", {
    style: `stroke: var(--${style.color}); fill: var(--${style.color})`, "stroke-width": style.width, "stroke-linejoin": "round",
  });
  shape.append(draw("path", {
    d: `M${at(l, w)} L${at(l, -w)} L${at(-l, -w)} L${at(-l, w)} Z`, "fill-opacity": style.fill, "stroke-dasharray": style.dash,
  }));
  shape.append(draw("path", { d: `M${at(0, 0)} L${at(l, 0)}`, fill: "none" }));
  if (box.vx !== null && Math.hypot(box.vx, box.vy) > 0.3) {
    const end = `${(-(box.y + box.vy)).toFixed(2)},${(-(box.x + box.vx)).toFixed(2)}`;
    shape.append(draw("path", { d: `M${at(0, 0)} L${end}`, fill: "none", "stroke-dasharray": "0.5 0.3" }));
  }
  shape.append(draw("title", {}, boxText(box, names)));
  return shape;
}

function boxText(box, names) {
  const parts = [short(names[box.label] ?? "class " + box.label, 40), OUTCOMES[box.outcome]];
  if (box.score !== null) parts.push("score " + box.score.toFixed(3));
  parts.push(`${Math.hypot(box.x, box.y).toFixed(1)} m away`);
  if (box.vx !== null) parts.push(`${Math.hypot(box.vx, box.vy).toFixed(1)} m/s`);
  return parts.join(", ");
}

function bevKey() {
  return make("ul", { class: "key" }, Object.keys(OUTCOMES).map((outcome) => {
    const style = STYLES[outcome];
    const mark = draw("svg", { viewBox: "0 0 4 2", "aria-hidden": "true" }, draw("rect", {
      x: 0.25, y: 0.25, width: 3.5, height: 1.5, "fill-opacity": style.fill, "stroke-width": style.width, "stroke-dasharray": style.dash,
      style: `stroke: var(--${style.color}); fill: var(--${style.color})`,
    }));
    return make("li", {}, mark, OUTCOMES[outcome]);
  }));
}

// Unpack the boxes of all samples; returns a function from the row of a sample to its boxes.
async function boxReader(packed) {
  const buffer = await unpacked(packed.data);
  const sizes = { gt: sumOf(packed.gt_counts), p: sumOf(packed.p_counts) };
  const kinds = { u1: [Uint8Array, 1], u2: [Uint16Array, 2], i2: [Int16Array, 2] };
  const columns = {};
  let offset = 0;
  for (const [key, kind] of packed.columns) {
    const [type, bytes] = kinds[kind];
    const count = sizes[key.split("_")[0]];
    columns[key] = new type(buffer.slice(offset, offset + count * bytes));
    offset += count * bytes;
  }
  const starts = {};
  for (const side of ["gt", "p"]) {
    let sum = 0;
    starts[side] = packed[side + "_counts"].map((count) => (sum += count) - count);
  }
  const speed = (value) => (value === packed.unknown ? null : value / 10);
  const read = (side, row) => Array.from({ length: packed[side + "_counts"][row] }, (_, i) => {
    const at = starts[side][row] + i;
    const get = (key) => columns[side + "_" + key][at];
    return {
      x: get("x") * packed.unit, y: get("y") * packed.unit, length: get("length") * packed.unit, width: get("width") * packed.unit,
      yaw: get("yaw") * Math.PI / 128, vx: speed(get("vx")), vy: speed(get("vy")), label: get("label"),
      score: side === "p" ? packed.scores[0] + get("score") * packed.scores[1] : null,
      gt: side === "p" ? get("gt") - 1 : null, counted: side === "p" && get("counted") === 1,
    };
  });
  return (row) => ({ gt: read("gt", row), predicted: read("p", row) });
}

// Boxes with their outcomes: of the operating scores, or of one least score for all classes.
function outcomes({ gt, predicted }, leastScore) {
  const shown = predicted.filter((box) => (leastScore === null ? box.counted : box.score >= leastScore));
  const found = new Set(shown.map((box) => box.gt));
  return [
    ...gt.map((box, place) => ({ ...box, outcome: found.has(place) ? "found" : "missed" })),
    ...shown.map((box) => ({ ...box, outcome: box.gt >= 0 ? "hit" : "false" })),
  ];
}
