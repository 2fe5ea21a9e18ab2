"use strict";
// The setup of the two listening tests: what is compared, how often, at which loudness.
(() => {
  const report = (window.report ??= {});
  const TRIALS = 16;

  const chosen = () => report.passages.list().filter(({ group }) => group === "passage");

  function problem(panel, error) {
    panel.querySelector(":scope > .error")?.remove();
    panel.append(report.dom.element("p", { className: "error", role: "alert" }, error.message));
  }

  function field(label, control) {
    return report.dom.element("label", { className: "field" }, label, control);
  }

  async function setUpAbx(panel, start) {
    const { element, checkbox, options } = report.dom;
    const passages = report.passages.list();
    const select = element("select", { className: "passages" });
    options(
      select,
      passages.map(({ id, title }) => [id, title]),
    );
    const [first, second] = [element("select", { className: "a" }), element("select", { className: "b" })];
    const count = element("input", { type: "number", min: 5, max: 100, step: 1, value: TRIALS, required: true });
    const { whole, box } = checkbox("match loudness", true);
    const form = element("form", { className: "setup" });
    form.append(field("Passage", select), field("A", first), field("B", second), field("Trials", count), whole);
    form.append(element("button", { className: "primary" }, "Start"));

    async function fill() {
      const { signals } = await report.passages.load(select.value);
      const kept = [first.value, second.value];
      const names = signals.map(({ id, label }) => [id, label]);
      const usual = [signals.find(({ kind }) => kind === "target"), signals.find(({ kind }) => kind === "model")];
      for (const [index, part] of [first, second].entries()) {
        const known = signals.some(({ id }) => id === kept[index]);
        options(part, names, known ? kept[index] : (usual[index] ?? signals[index]).id);
      }
    }

    select.addEventListener("change", () => fill().catch((error) => problem(panel, error)));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const passage = await report.passages.load(select.value);
        const pair = [first, second].map(({ value }) => passage.signals.find(({ id }) => id === value));
        if (pair[0] === pair[1]) throw new Error("A and B are the same signal: choose two.");
        start({ passage, pair, count: Number(count.value), matched: box.checked });
      } catch (error) {
        problem(panel, error);
      }
    });
    panel.replaceChildren(form);
    await fill();
  }

  function setUpMushra(panel, start) {
    const { element, checkbox } = report.dom;
    const choices = chosen().map(({ id, title }) => ({ id, ...checkbox(title, true) }));
    const { whole, box } = checkbox("match loudness", true);
    const form = element("form", { className: "setup" });
    form.append(
      element("fieldset", {}, element("legend", {}, "Passages"), ...choices.map((each) => each.whole)),
      whole,
    );
    form.append(element("button", { className: "primary" }, "Start"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const ids = choices.filter((each) => each.box.checked).map(({ id }) => id);
        if (!ids.length) throw new Error("Choose at least one passage.");
        const passages = await Promise.all(ids.map((id) => report.passages.load(id)));
        const bare = passages.find(({ signals }) => !signals.some(({ kind }) => kind === "target"));
        if (bare) throw new Error(`“${bare.title}” has no target to rate against.`);
        start({ passages, matched: box.checked });
      } catch (error) {
        problem(panel, error);
      }
    });
    panel.replaceChildren(form);
  }

  /** Puts a test into its section: its setup, then the test, then its results. */
  function attach(id, setUp, run) {
    const section = document.getElementById(id);
    const panel = section.querySelector(".panel");
    let stage = null;
    const again = () => {
      stage = null;
      return Promise.resolve(setUp(panel, (choices) => (stage = run(panel, choices, again)))).catch((error) =>
        problem(panel, error),
      );
    };
    report.keys.register(
      section,
      (key) => (stage?.element.isConnected ? stage.key(key) : false),
      () => stage?.playing ?? false,
    );
    return again;
  }

  /** Starts when the section comes into sight: the pair's names are in the first passage, which is parsed for them. */
  function start() {
    const abx = attach("abx", setUpAbx, (...all) => report.abx.run(...all));
    const mushra = attach("mushra", setUpMushra, (...all) => report.mushra.run(...all));
    return () => Promise.all([abx(), mushra()]);
  }

  report.listening = Object.freeze({ start });
})();
