"use strict";
// The keyboard belongs to one section at a time: the one last touched, while it is on the screen or plays.
(() => {
  const report = (window.report ??= {});
  const sections = [];
  let current = null;

  /** `handle(key)` says whether it used the key; `playing()` whether the section is heard. */
  function register(section, handle, playing) {
    const entry = { section, handle, playing };
    sections.push(entry);
    for (const kind of ["pointerdown", "focusin"]) section.addEventListener(kind, () => (current = entry));
    current ??= entry;
  }

  function take(section) {
    current = sections.find((entry) => entry.section === section);
  }

  function typing(target, key) {
    if (target.isContentEditable || target.matches("select, textarea")) return true;
    if (!target.matches("input")) return key === " " && target.matches("button, a, summary");
    if (target.type === "range") return key.startsWith("Arrow");
    return !["radio", "checkbox"].includes(target.type) || key === " " || key.startsWith("Arrow");
  }

  function visible(section) {
    const { top, bottom } = section.getBoundingClientRect();
    return bottom > 0 && top < window.innerHeight;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (!current || typing(event.target, event.key)) return;
    if (!visible(current.section) && !current.playing()) return;
    if (current.handle(event.key)) event.preventDefault();
  });

  report.keys = Object.freeze({ register, take });
})();
