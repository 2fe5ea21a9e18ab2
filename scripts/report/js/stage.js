"use strict";
// What both listening tests play on: signals under neutral names, one position and loop for all, no picture.
(() => {
  const report = (window.report ??= {});

  class Stage {
    #engine = new report.Engine();
    #rate = 0;
    #names = [];
    #buttons = new Map();
    #time;
    #play;
    #timeline;
    element;
    onheard = () => {}; // called with a name when it plays
    onerror = () => {};

    constructor() {
      const { element, button } = report.dom;
      this.#play = button("Play", () => this.toggle(), { className: "primary" });
      this.#time = element("output", { className: "time" });
      const line = element("canvas", { className: "line", ariaLabel: "Position in the passage" });
      const loop = button("Loop", () => this.loop());
      this.choices = element("div", { className: "signals", role: "group", ariaLabel: "What is heard" });
      this.element = element(
        "div",
        { className: "listening-stage" },
        element("div", { className: "bar" }, this.#play, this.#time, loop),
        line,
        this.choices,
      );
      this.#timeline = new report.Timeline(line, this.#engine);
      new ResizeObserver(() => this.#timeline.draw(true)).observe(line);
      this.#engine.onchange = () => {
        this.#play.textContent = this.#engine.playing ? "Pause" : "Play";
        loop.setAttribute("aria-pressed", String(this.#engine.region !== null));
        for (const [name, each] of this.#buttons)
          each.setAttribute("aria-pressed", String(name === this.#engine.selected));
        this.#move();
        if (this.#engine.playing) this.onheard(this.#engine.selected);
      };
      const tick = () => {
        if (this.#engine.playing) this.#move();
        if (this.element.isConnected || !this.#engine.seconds) requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    }

    get playing() {
      return this.#engine.playing;
    }

    button(name) {
      return this.#buttons.get(name);
    }

    /** `sounds`: {name: signal}; the same signal may come under two names. Position and loop stay if `keep`. */
    load(sounds, passage, matched, keep) {
      const { position, region } = this.#engine;
      const gains = report.matching(passage.signals);
      this.#names = Object.keys(sounds);
      this.#rate = passage.rate;
      this.#buttons.clear();
      for (const name of this.#names) {
        const key = report.dom.element("kbd", {}, name === "Reference" ? "R" : name);
        const label = report.dom.element("span", { className: "name" }, name === "Reference" ? name : `Play ${name}`);
        const made = report.dom.button("", () => this.hear(name), { className: "signal", data: { name } });
        made.append(key, label);
        this.#buttons.set(name, made);
      }
      this.choices.replaceChildren(...this.#buttons.values());
      this.#engine.load(
        this.#names.map((name) => ({ id: name, buffer: sounds[name].buffer })),
        new Map(this.#names.map((name) => [name, gains.get(sounds[name].id)])),
      );
      this.#engine.match(matched);
      if (!keep) return;
      this.#engine.seek(position);
      if (region) this.#engine.loop(region);
    }

    async start() {
      try {
        await report.audio.play(this.#engine, this.#rate);
      } catch (error) {
        this.onerror(error);
      }
    }

    /** Switches to a name, and plays it if nothing plays. */
    hear(name) {
      this.#engine.select(name);
      return this.start();
    }

    toggle() {
      return this.#engine.playing ? this.#engine.pause() : this.start();
    }

    loop() {
      this.#engine.loop(this.#engine.region ? null : { start: 0, end: this.#engine.seconds });
    }

    stop() {
      this.#engine.pause();
    }

    /** Space, L, and the names' own keys. */
    key(key) {
      const wanted = key.toUpperCase();
      const name = this.#names.find((each) => each === wanted || (each === "Reference" && wanted === "R"));
      if (key === " ") this.toggle();
      else if (name) this.hear(name);
      else if (wanted === "L") this.loop();
      else return false;
      return true;
    }

    #move() {
      const { clock } = report.dom;
      this.#time.textContent = `${clock(this.#engine.position)} / ${clock(this.#engine.seconds)}`;
      this.#timeline.draw();
    }
  }

  report.Stage = Stage;
})();
