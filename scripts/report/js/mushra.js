"use strict";
// Ratings after ITU-R BS.1534-3: every system, the hidden reference and the hidden anchor against the open reference.
(() => {
  const report = (window.report ??= {});
  const COLUMNS = ["test", "time", "passage", "trial", "position", "system", "kind", "rating", "matched"];
  const LABELS = ["bad", "poor", "fair", "good", "excellent"]; // 0-20, 20-40, ... 80-100
  const KINDS = { target: "hidden reference", anchor: "hidden anchor", model: "system" };
  const RATED = 90; // BS.1534-3, 4.1.2: a listener who rates the hidden reference lower than this ...
  const OFTEN = 0.15; // ... in more than this part of the trials is left out

  /** The passages in random order, each with its signals in random order. Which is which leaves with the results. */
  class Ratings {
    #trials;
    #rows = [];
    #matched;

    constructor(passages, matched) {
      this.#matched = matched;
      this.#trials = report.random.shuffled(passages).map((passage) => ({
        passage,
        order: report.random.shuffled(passage.signals.filter(({ kind }) => kind in KINDS)),
      }));
      this.count = this.#trials.length;
      this.done = 0;
    }

    get passage() {
      return this.#trials[this.done].passage;
    }

    sounds() {
      const { passage, order } = this.#trials[this.done];
      const reference = passage.signals.find(({ kind }) => kind === "target");
      return Object.fromEntries([
        ...order.map((signal, index) => [String(index + 1), signal]),
        ["Reference", reference],
      ]);
    }

    rate(ratings) {
      const { passage, order } = this.#trials[this.done];
      const time = new Date().toISOString();
      this.done += 1;
      for (const [index, { label, kind }] of order.entries()) {
        const system = kind === "model" ? label : KINDS[kind];
        const place = { passage: passage.title, trial: this.done, position: index + 1 };
        this.#rows.push({
          test: "MUSHRA",
          time,
          ...place,
          system,
          kind,
          rating: ratings[index],
          matched: Number(this.#matched),
        });
      }
    }

    results() {
      if (this.done < this.count) throw new Error("the test is not over");
      const systems = new Map();
      for (const { system, kind, rating } of this.#rows) {
        const key = `${kind} ${system}`;
        if (!systems.has(key)) systems.set(key, { system, ratings: [] });
        systems.get(key).ratings.push(rating);
      }
      const table = [...systems.values()].map(({ system, ratings }) => ({
        system,
        ...report.statistics.meanInterval(ratings),
      }));
      table.sort((left, right) => right.mean - left.mean);
      const low = this.#rows.filter(({ kind, rating }) => kind === "target" && rating < RATED).length;
      return { rows: this.#rows, table, low, excluded: low > OFTEN * this.count };
    }
  }

  function show(panel, ratings, again) {
    const { element, button } = report.dom;
    const { rows, table, low, excluded } = ratings.results();
    const lines = table.map(({ system, count, mean, half }) => {
      const interval = Number.isNaN(half)
        ? "needs two passages"
        : `${Math.max(0, mean - half).toFixed(1)} to ${Math.min(100, mean + half).toFixed(1)}`;
      const cells = [mean.toFixed(1), interval, String(count)].map((text) => element("td", {}, text));
      return element("tr", {}, element("th", { scope: "row" }, system), ...cells);
    });
    const heads = ["System", "Mean rating", "95 % interval (t)", "Trials"].map((text) =>
      element("th", { scope: "col" }, text),
    );
    const often = `The hidden reference was rated below ${RATED} in ${low} of ${ratings.count} trials. `;
    const verdict = excluded
      ? "That is more than 15 %: BS.1534-3 leaves such a listener out (post-screening)."
      : "That is not more than 15 %: BS.1534-3 keeps this listener (post-screening).";
    panel.replaceChildren(
      element("p", { className: "result", tabIndex: -1 }, "Thank you. These are the means of your ratings."),
      element(
        "div",
        { className: "scroll" },
        element(
          "table",
          { className: "scores" },
          element("thead", {}, element("tr", {}, ...heads)),
          element("tbody", {}, ...lines),
        ),
      ),
      element("p", {}, often + verdict),
      element(
        "div",
        { className: "bar" },
        button("Save as CSV", () => report.csv.download("mushra.csv", report.csv.format(COLUMNS, rows)), {
          className: "primary",
        }),
        button("New test", again),
      ),
    );
    panel.querySelector(".result").focus();
  }

  /** One line of the form: play, slider, value. It is rated once the slider was moved. */
  function line(name, play, change) {
    const { element } = report.dom;
    const value = element("output", { className: "time" }, "–");
    const slider = element("input", {
      type: "range",
      min: 0,
      max: 100,
      step: 1,
      value: 50,
      ariaLabel: `Rating of ${name}`,
    });
    const entry = { slider, rated: false };
    slider.addEventListener("input", () => {
      entry.rated = true;
      entry.element.classList.remove("open");
      const label = LABELS[Math.min(4, Math.floor(slider.value / 20))];
      value.textContent = slider.value;
      slider.setAttribute("aria-valuetext", `${slider.value}, ${label}`);
      change();
    });
    entry.element = element("div", { className: "rating open" }, play, slider, value);
    return entry;
  }

  /** Runs a test in a panel; `again` shows the setup. Returns the stage for the keyboard. */
  function run(panel, { passages, matched }, again) {
    const { element, button } = report.dom;
    const ratings = new Ratings(passages, matched);
    const stage = new report.Stage();
    const words = element("p", { role: "status" });
    const missing = element("p", { className: "caption" });
    const error = element("p", { className: "error", role: "alert" });
    const progress = element("progress", { max: ratings.count, value: 0 });
    const proceed = button("Next", () => next(), { className: "primary" });
    const scale = element(
      "div",
      { className: "scale", ariaHidden: "true" },
      ...LABELS.map((label) => element("span", {}, label)),
    );
    const list = element("div", { className: "ratings" });
    let lines = new Map();
    let heard = new Set();

    function check() {
      const unheard = [...lines.keys()].filter((name) => !heard.has(name));
      const unrated = [...lines].filter(([, { rated }]) => !rated).map(([name]) => name);
      const parts = [
        unheard.length && `listen to ${unheard.join(", ")}`,
        unrated.length && `rate ${unrated.join(", ")}`,
      ];
      proceed.disabled = unheard.length + unrated.length > 0;
      missing.textContent = proceed.disabled ? `To do: ${parts.filter(Boolean).join("; ")}.` : "All heard and rated.";
    }

    function begin() {
      const sounds = ratings.sounds();
      stage.load(sounds, ratings.passage, matched, false);
      heard = new Set();
      lines = new Map();
      for (const name of Object.keys(sounds))
        if (name !== "Reference") lines.set(name, line(name, stage.button(name), check));
      list.replaceChildren(scale, ...[...lines.values()].map(({ element }) => element));
      progress.value = ratings.done;
      words.textContent = `Passage ${ratings.done + 1} of ${ratings.count}. How close is each to the reference?`;
      proceed.textContent = ratings.done + 1 < ratings.count ? "Next passage" : "Show the results";
      check();
    }

    function next() {
      ratings.rate([...lines.values()].map(({ slider }) => Number(slider.value)));
      if (ratings.done < ratings.count) return begin();
      stage.stop();
      return show(panel, ratings, again);
    }

    stage.onheard = (name) => {
      heard.add(name);
      check();
    };
    stage.onerror = (problem) => (error.textContent = problem.message);
    panel.replaceChildren(
      words,
      progress,
      stage.element,
      list,
      missing,
      element(
        "div",
        { className: "bar answers" },
        proceed,
        button("Give up", () => (stage.stop(), again())),
      ),
      error,
    );
    begin();
    return stage;
  }

  report.mushra = Object.freeze({ run, COLUMNS });
})();
