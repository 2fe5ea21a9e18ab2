"use strict";
// Results as CSV after RFC 4180. Text that a spreadsheet would run as a formula gets an apostrophe in front.
(() => {
  const report = (window.report ??= {});

  function cell(value) {
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /** One line for each row, and the columns' names first; rows are objects. */
  function format(columns, rows) {
    const lines = [columns.map(cell), ...rows.map((row) => columns.map((column) => cell(row[column])))];
    return lines.map((line) => line.join(",") + "\r\n").join("");
  }

  function download(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  report.csv = Object.freeze({ format, download });
})();
