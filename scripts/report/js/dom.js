"use strict";
// Elements without markup: data reaches the page as text only, whatever it contains.
(() => {
  const report = (window.report ??= {});

  /** An element with properties, and children that are elements or text; `data` and `aria` hold attributes. */
  function element(name, properties = {}, ...children) {
    const { data = {}, aria = {}, ...others } = properties;
    const made = Object.assign(document.createElement(name), others);
    for (const [key, value] of Object.entries(data)) made.dataset[key] = value;
    for (const [key, value] of Object.entries(aria)) made.setAttribute(`aria-${key}`, value);
    made.append(...children);
    return made;
  }

  /** A button that keeps the focus where it is when clicked with the mouse, so that the space bar still plays. */
  function button(label, action, properties = {}) {
    const made = element("button", { type: "button", ...properties }, label);
    made.addEventListener("mousedown", (event) => event.preventDefault());
    made.addEventListener("click", action);
    return made;
  }

  /** A checkbox with its words. */
  function checkbox(label, checked, action = () => {}) {
    const box = element("input", { type: "checkbox", checked });
    box.addEventListener("change", () => action(box.checked));
    const whole = element("label", { className: "check" }, box, label);
    return { whole, box };
  }

  function options(select, choices, chosen) {
    select.replaceChildren(...choices.map(([value, label]) => new Option(label, value, false, value === chosen)));
  }

  function clock(seconds) {
    const hundredths = Math.round(seconds * 100);
    const rest = String(Math.floor((hundredths % 6000) / 100)).padStart(2, "0");
    return `${Math.floor(hundredths / 6000)}:${rest}.${String(hundredths % 100).padStart(2, "0")}`;
  }

  report.dom = Object.freeze({ element, button, checkbox, options, clock });
})();
