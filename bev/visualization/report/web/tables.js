// Tables whose columns sort.

// columns: {title, value(row), show(row) -> text or element, text: left-aligned, sort: false}
function sortableTable(caption, columns, rows, options = {}) {
  const body = make("tbody");
  const headers = columns.map((column) => {
    if (column.sort === false) return make("th", { scope: "col", class: column.text ? "text" : null }, column.title);
    const button = make("button", { type: "button" }, column.title);
    const header = make("th", { scope: "col", "aria-sort": "none", class: column.text ? "text" : null }, button);
    button.addEventListener("click", () => sort(column, header));
    return header;
  });
  const table = make(
    "table",
    {},
    caption ? make("caption", {}, caption) : null,
    make("thead", {}, make("tr", {}, headers)),
    body
  );
  let ordered = [...rows];

  function line(row) {
    const cells = columns.map((column, place) => {
      const shown = column.show ? column.show(row) : String(column.value(row));
      const isHeader = place === 0 && options.rowHeaders !== false;
      return make(isHeader ? "th" : "td", { scope: isHeader ? "row" : null, class: column.text ? "text" : null }, shown);
    });
    return make("tr", {}, cells);
  }

  function show() {
    body.replaceChildren(...ordered.map(line));
  }

  function sort(column, header) {
    const descending = header.getAttribute("aria-sort") !== "descending" && !column.text
      || header.getAttribute("aria-sort") === "ascending";
    for (const other of headers) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    ordered = [...rows].sort((a, b) => compare(column.value(a), column.value(b), descending));
    show();
  }

  show();
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption || "Table" }, table);
}

// Undefined values come last in either order.
function compare(a, b, descending) {
  const lacking = (value) => value === null || value === undefined;
  if (lacking(a) || lacking(b)) return lacking(a) - lacking(b);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return descending ? -order : order;
}

function plainTable(caption, header, rows) {
  return sortableTable(
    caption,
    header.map((title, place) => ({
      title, sort: false, text: place === 0,
      value: (row) => row[place], show: (row) => row[place],
    })),
    rows
  );
}
