"use strict";
// The player: one passage, all its signals in step; what is heard is seen.
(() => {
  const report = (window.report ??= {});
  const JUMP = 1; // s, of the arrow keys
  const VIEWS = { waveform: "Waveform", spectrogram: "Spectrogram", difference: "Difference from the target" };

  class Player {
    #root = document.getElementById("player");
    #engine = new report.Engine();
    #passage = null;
    #view = "waveform";
    #log = true;
    #wanted = null; // id of the passage picked last; slower ones before it are ignored
    #loading = null; // its promise
    #buttons = new Map();
    #parts = {};
    #picture;
    #timeline;

    constructor() {
      this.#build();
      this.#engine.onchange = () => this.#show();
      report.keys.register(
        this.#root,
        (key) => this.#key(key),
        () => this.#engine.playing,
      );
      const redraw = () => this.#draw();
      new ResizeObserver(redraw).observe(this.#parts.canvas);
      for (const query of ["(prefers-color-scheme: dark)", "print"])
        matchMedia(query).addEventListener("change", redraw);
      const tick = () => {
        if (this.#engine.playing) this.#move();
        requestAnimationFrame(tick);
      };
      tick();
      this.#show();
    }

    // What the page and its tests may read.
    get passage() {
      return this.#passage?.id ?? null;
    }
    get signal() {
      return this.#engine.selected;
    }
    get signals() {
      return this.#shown.map(({ id }) => id);
    }
    get position() {
      return this.#engine.position;
    }
    get playing() {
      return this.#engine.playing;
    }
    get region() {
      return this.#engine.region;
    }
    get matched() {
      return this.#engine.matched;
    }
    get gains() {
      return Object.fromEntries(this.#engine.gains);
    }
    get view() {
      return this.#view;
    }

    get #shown() {
      return this.#passage ? this.#passage.signals.filter(({ kind }) => kind !== "anchor") : [];
    }

    #build() {
      const { element, button, checkbox } = report.dom;
      const parts = this.#parts;
      parts.select = element("select", { id: "player-passage" });
      parts.select.addEventListener("change", () => this.load(parts.select.value));
      parts.error = element("p", { className: "error", hidden: true, role: "alert" });
      parts.play = button("Play", () => this.toggle(), { className: "primary" });
      parts.time = element("output", { className: "time" });
      parts.loop = button("Loop", () => this.#loop());
      parts.match = button("Match loudness", () => this.#engine.match(!this.#engine.matched));
      parts.signals = element("div", { className: "signals", role: "group", ariaLabel: "Signal that is heard" });
      parts.views = element("div", { className: "segmented", role: "group", ariaLabel: "Picture" });
      for (const [view, label] of Object.entries(VIEWS))
        parts.views.append(button(label, () => this.#look(view), { data: { view } }));
      parts.log = checkbox("logarithmic frequency", true, (on) => {
        this.#log = on;
        this.#draw();
      });
      parts.canvas = element("canvas", { className: "picture", role: "img" });
      parts.cursor = element("canvas", { className: "cursor", ariaLabel: "Position in the passage" });
      parts.caption = element("p", { className: "caption" });
      this.#root
        .querySelector(".stage")
        .append(
          element("label", { className: "field", htmlFor: "player-passage" }, "Passage", parts.select),
          parts.error,
          element("div", { className: "bar" }, parts.play, parts.time, parts.loop, parts.match),
          parts.signals,
          element("div", { className: "bar" }, parts.views, parts.log.whole),
          element("div", { className: "screen" }, parts.canvas, parts.cursor),
          parts.caption,
        );
      this.#picture = new report.Picture(parts.canvas);
      this.#timeline = new report.Timeline(parts.cursor, this.#engine, report.Picture.MARGINS);
      const groups = { passage: "Passages", worst: "Worst segments" };
      for (const [group, label] of Object.entries(groups)) {
        const choices = report.passages.list().filter((passage) => passage.group === group);
        if (!choices.length) continue;
        const made = element("optgroup", { label });
        made.append(...choices.map(({ id, title }) => new Option(title, id)));
        parts.select.append(made);
      }
    }

    #fail(error) {
      this.#parts.error.textContent = error.message;
      this.#parts.error.hidden = false;
    }

    /** Decodes a passage and shows it; what is heard stays the same signal where the new passage has it. */
    load(id = this.#parts.select.value) {
      if (id !== this.#wanted) [this.#wanted, this.#loading] = [id, this.#fetch(id)];
      return this.#loading;
    }

    async #fetch(id) {
      this.#parts.select.value = id;
      this.#parts.error.hidden = true;
      this.#root.setAttribute("aria-busy", "true");
      try {
        const passage = await report.passages.load(id);
        if (this.#wanted !== id) return;
        const heard = this.#engine.selected;
        this.#passage = passage;
        this.#list();
        this.#engine.load(this.#shown);
        if (this.#buttons.has(heard)) this.#engine.select(heard);
      } catch (error) {
        if (this.#wanted !== id) return;
        this.#wanted = null;
        this.#fail(error);
      } finally {
        if (this.#wanted === id || !this.#wanted) this.#root.removeAttribute("aria-busy");
      }
    }

    async play() {
      await this.load(this.#wanted ?? undefined);
      if (!this.#passage) return;
      try {
        await report.audio.play(this.#engine, this.#passage.rate);
      } catch (error) {
        this.#fail(error);
      }
    }

    async toggle() {
      if (this.#engine.playing) this.#engine.pause();
      else await this.play();
    }

    #loop() {
      this.#engine.loop(this.#engine.region ? null : { start: 0, end: this.#engine.seconds });
    }

    #look(view) {
      this.#view = view;
      this.#show();
    }

    #key(key) {
      const number = /^[0-9]$/.test(key) ? (Number(key) + 9) % 10 : -1; // 1 is the first, 0 the tenth
      if (key === " ") this.toggle();
      else if (!this.#passage) return false;
      else if (number >= 0 && number < this.#shown.length) this.#engine.select(this.#shown[number].id);
      else if (key === "ArrowLeft") this.#engine.seek(this.#engine.position - JUMP);
      else if (key === "ArrowRight") this.#engine.seek(this.#engine.position + JUMP);
      else if (key.toLowerCase() === "l") this.#loop();
      else if (key.toLowerCase() === "m") this.#engine.match(!this.#engine.matched);
      else return false;
      return true;
    }

    #list() {
      const { element, button } = report.dom;
      this.#buttons.clear();
      for (const [index, { id, label }] of this.#shown.entries()) {
        const made = button("", () => this.#engine.select(id), { className: "signal", data: { signal: id } });
        const swatch = element("span", { className: "swatch" });
        swatch.style.background = `var(--c-${CSS.escape(id)}, currentColor)`;
        const key = index < 10 ? [element("kbd", {}, String((index + 1) % 10))] : [];
        made.append(...key, swatch, element("span", { className: "name" }, label), element("small"));
        this.#buttons.set(id, made);
      }
      this.#parts.signals.replaceChildren(...this.#buttons.values());
    }

    #move() {
      const { clock } = report.dom;
      this.#parts.time.textContent = `${clock(this.#engine.position)} / ${clock(this.#engine.seconds)}`;
      this.#timeline.draw();
    }

    /** Brings the controls up to the engine's state. */
    #show() {
      const { play, loop, match, views, log } = this.#parts;
      play.textContent = this.#engine.playing ? "Pause" : "Play";
      loop.setAttribute("aria-pressed", String(this.#engine.region !== null));
      match.setAttribute("aria-pressed", String(this.#engine.matched));
      loop.disabled = match.disabled = !this.#passage;
      for (const each of views.children) each.setAttribute("aria-pressed", String(each.dataset.view === this.#view));
      log.whole.hidden = this.#view === "waveform";
      for (const [id, each] of this.#buttons) {
        each.setAttribute("aria-pressed", String(id === this.#engine.selected));
        const decibels = 20 * Math.log10(this.#engine.gains.get(id));
        const sign = decibels < -0.05 ? "−" : decibels > 0.05 ? "+" : "";
        const text = `${sign}${Math.abs(decibels).toFixed(1)} dB`;
        each.lastChild.textContent = this.#engine.matched ? text : "";
      }
      this.#draw();
    }

    #drawn = "";

    #draw() {
      if (!this.#passage) return;
      const signal = this.#shown.find(({ id }) => id === this.#engine.selected);
      const target = this.#shown.find(({ kind }) => kind === "target");
      const kind = this.#view === "difference" && !target ? "spectrogram" : this.#view;
      const { canvas } = this.#parts;
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const size = `${canvas.clientWidth} ${canvas.clientHeight} ${window.devicePixelRatio} ${dark}`;
      const state = `${this.#passage.id} ${signal.id} ${kind} ${this.#log} ${size}`;
      if (state !== this.#drawn) {
        this.#drawn = state;
        const peak = Math.max(...this.#shown.map((each) => each.peak));
        this.#picture.draw({ kind, signal, target, rate: this.#passage.rate, peak, log: this.#log });
        const words = {
          waveform: `Waveform of ${signal.label}.`,
          spectrogram: `Spectrogram of ${signal.label}: Hann window of 1024 samples, hop 256.`,
          difference: `${signal.label} minus ${target?.label}: orange where it is louder, blue where it is softer.`,
        };
        this.#parts.caption.textContent = words[kind];
        canvas.setAttribute("aria-label", words[kind]);
      }
      this.#move();
    }
  }

  report.Player = Player;
})();
