"use strict";
// ABX: is X, drawn anew for each trial, A or B? Enough right answers show that a difference is heard.
(() => {
  const report = (window.report ??= {});
  const COLUMNS = ["test", "time", "passage", "trial", "A", "B", "X", "answer", "correct", "matched"];

  /** The trials themselves. What X is leaves this object only with the results, after the last answer. */
  class Trials {
    #count;
    #pair;
    #passage;
    #matched;
    #answers = [];
    #x = report.random.below(2);

    constructor(passage, pair, count, matched) {
      [this.#passage, this.#pair, this.#count, this.#matched] = [passage, pair, count, matched];
    }

    get count() {
      return this.#count;
    }
    get done() {
      return this.#answers.length;
    }

    sounds() {
      return { A: this.#pair[0], B: this.#pair[1], X: this.#pair[this.#x] };
    }

    answer(choice) {
      if (this.#answers.length === this.#count) return;
      this.#answers.push({ time: new Date().toISOString(), x: "AB"[this.#x], choice });
      this.#x = report.random.below(2);
    }

    results() {
      if (this.#answers.length < this.#count) throw new Error("the test is not over");
      const [A, B] = this.#pair.map(({ label }) => label);
      const fixed = { test: "ABX", passage: this.#passage.title, A, B, matched: Number(this.#matched) };
      const rows = this.#answers.map(({ time, x, choice }, index) => {
        return { ...fixed, time, trial: index + 1, X: x, answer: choice, correct: Number(x === choice) };
      });
      const right = rows.reduce((sum, { correct }) => sum + correct, 0);
      return { rows, right, p: report.statistics.binomialTail(right, this.#count), A, B };
    }
  }

  function show(panel, trials, again) {
    const { element, button } = report.dom;
    const { rows, right, p, A, B } = trials.results();
    const heard = p < 0.05 ? "A difference was heard (p < 0.05)." : "This does not show that a difference was heard.";
    const value = p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
    panel.replaceChildren(
      element("p", { className: "result", tabIndex: -1 }, `${right} of ${trials.count} right, ${value}. ${heard}`),
      element(
        "p",
        {},
        `A was ${A}, B was ${B}. p is the chance of at least as many right answers by guessing (exact binomial).`,
      ),
      element(
        "div",
        { className: "bar" },
        button("Save as CSV", () => report.csv.download("abx.csv", report.csv.format(COLUMNS, rows)), {
          className: "primary",
        }),
        button("New test", again),
      ),
    );
    panel.querySelector(".result").focus();
  }

  /** Runs a test in a panel; `again` shows the setup. Returns the stage for the keyboard. */
  function run(panel, { passage, pair, count, matched }, again) {
    const { element, button } = report.dom;
    const trials = new Trials(passage, pair, count, matched);
    const stage = new report.Stage();
    const heard = new Set();
    const progress = element("progress", { max: count, value: 0 });
    const words = element("p", { role: "status" });
    const error = element("p", { className: "error", role: "alert" });
    const choices = ["A", "B"].map((choice) => button(`X is ${choice}`, () => answer(choice), { data: { choice } }));
    stage.onheard = (name) => {
      heard.add(name);
      for (const each of choices) each.disabled = !heard.has("X");
    };
    stage.onerror = (problem) => (error.textContent = problem.message);

    function next() {
      stage.load(trials.sounds(), passage, matched, trials.done > 0);
      heard.clear();
      for (const each of choices) each.disabled = true;
      progress.value = trials.done;
      words.textContent = `Trial ${trials.done + 1} of ${count}. Listen to X, then say what it is.`;
    }

    function answer(choice) {
      trials.answer(choice);
      if (trials.done < count) return next();
      stage.stop();
      return show(panel, trials, again);
    }

    panel.replaceChildren(
      words,
      progress,
      stage.element,
      element(
        "div",
        { className: "bar answers" },
        ...choices,
        button("Give up", () => (stage.stop(), again())),
      ),
      error,
    );
    next();
    return stage;
  }

  report.abx = Object.freeze({ run, COLUMNS });
})();
