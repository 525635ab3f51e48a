// Elements, numbers and names. Text from the data enters the page as text nodes alone.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);

// A name from the data: isolated, so that its marks of direction end with it, and shortened.
const LONGEST = 60;

function clean(text) {
  return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, " ");
}

function short(text, most = LONGEST) {
  const letters = Array.from(clean(text).slice(0, 4 * most));
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : letters.join("");
}

function name(text, most = LONGEST) {
  const shown = short(text, most);
  return make("bdi", { title: shown === text ? null : clean(text).slice(0, 1000) }, shown);
}

// A name in a chart: plotly.js reads a few tags and entities, so these become entities.
function chartName(text, most = 26) {
  return short(text, most).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function fixed(value, digits = 3) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

const percent = (value) => (value === null || value === undefined ? "–" : (100 * value).toFixed(1) + " %");

function whole(value) {
  return value.toLocaleString("en-US");
}

function css(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + variable).trim();
}

const contents = {};

function content(id) {
  contents[id] ??= JSON.parse(byId(id)?.textContent || "{}");
  return contents[id];
}

async function unpacked(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}
