"use strict";
// Tables sorted by a click on a column's head, or by Enter on it; a head with data-sort="no" stays as it is.
// Cells sort by data-value, else by their text.
(() => {
  const report = (window.report ??= {});
  const cycle = { none: "ascending", ascending: "descending", descending: "none" };

  function key(row, column) {
    const cell = row.cells[column];
    if (!cell) return "";
    const text = (cell.dataset.value ?? cell.textContent).trim();
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  }

  /** Numbers before words, words by the alphabet, cells without a value last, whichever the direction. */
  function compare(left, right, sign) {
    if (left === "" || right === "") return (left === "") - (right === "");
    if (typeof left !== typeof right) return typeof left === "number" ? -1 : 1;
    return sign * (typeof left === "number" ? left - right : left.localeCompare(right));
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells].filter((head) => head.dataset.sort !== "no");
    const bodies = [...table.tBodies].map((body) => ({ body, rows: [...body.rows] }));
    for (const head of heads) {
      const button = report.dom.element("button", { type: "button", className: "sort" }, ...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const order = cycle[head.getAttribute("aria-sort")];
        for (const other of heads) other.setAttribute("aria-sort", other === head ? order : "none");
        const sign = order === "descending" ? -1 : 1;
        for (const { body, rows } of bodies) {
          const sorted = rows.map((row) => [key(row, head.cellIndex), row]);
          if (order !== "none") sorted.sort(([left], [right]) => compare(left, right, sign));
          body.append(...sorted.map(([, row]) => row));
        }
      });
    }
  }

  report.sort = { start: () => document.querySelectorAll("table.sortable").forEach((t) => t.tHead && sortable(t)) };
})();
