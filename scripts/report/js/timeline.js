"use strict";
// A canvas over a picture, or alone: the cursor of an engine, and its loop. A click seeks, a drag marks a loop.
(() => {
  const report = (window.report ??= {});
  const DRAG = 5; // CSS pixels before a click is a drag

  class Timeline {
    #canvas;
    #engine;
    #margins;
    #drag = null;
    #still = matchMedia("(prefers-reduced-motion: reduce)");
    #drawn = 0;

    constructor(canvas, engine, margins = { left: 0, right: 0, top: 0, bottom: 0 }) {
      [this.#canvas, this.#engine, this.#margins] = [canvas, engine, margins];
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "slider");
      canvas.setAttribute("aria-valuemin", "0");
      canvas.addEventListener("pointerdown", (event) => this.#press(event));
      canvas.addEventListener("pointermove", (event) => this.#pull(event));
      canvas.addEventListener("pointerup", (event) => this.#release(event));
      canvas.addEventListener("pointercancel", () => (this.#drag = null));
    }

    get #width() {
      return this.#canvas.clientWidth - this.#margins.left - this.#margins.right;
    }

    #seconds(event) {
      const x = event.clientX - this.#canvas.getBoundingClientRect().left - this.#margins.left;
      return Math.max(0, Math.min(1, x / this.#width)) * this.#engine.seconds;
    }

    #press(event) {
      if (event.button !== 0 || !this.#engine.seconds) return;
      this.#canvas.setPointerCapture(event.pointerId);
      this.#drag = { x: event.clientX, from: this.#seconds(event), region: null };
    }

    #pull(event) {
      if (!this.#drag || (!this.#drag.region && Math.abs(event.clientX - this.#drag.x) < DRAG)) return;
      const here = this.#seconds(event);
      this.#drag.region = { start: Math.min(this.#drag.from, here), end: Math.max(this.#drag.from, here) };
      this.draw(true);
    }

    #release() {
      if (!this.#drag) return;
      const { from, region } = this.#drag;
      this.#drag = null;
      if (region) this.#engine.loop(region);
      else this.#engine.seek(from);
      this.draw(true);
    }

    /** Draws the cursor; four times a second at most where the reader wants little motion, unless `now`. */
    draw(now = false) {
      if (!now && this.#still.matches && performance.now() - this.#drawn < 250) return;
      this.#drawn = performance.now();
      const { clientWidth: width, clientHeight: height } = this.#canvas;
      const scale = window.devicePixelRatio || 1;
      const size = [Math.round(width * scale), Math.round(height * scale)];
      if (this.#canvas.width !== size[0] || this.#canvas.height !== size[1])
        [this.#canvas.width, this.#canvas.height] = size;
      const pen = this.#canvas.getContext("2d");
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.clearRect(0, 0, width, height);
      const { seconds, position } = this.#engine;
      if (!seconds) return;
      const style = getComputedStyle(this.#canvas);
      const x = (time) => this.#margins.left + (time / seconds) * this.#width;
      const [top, bottom] = [this.#margins.top, height - this.#margins.bottom];
      const region = this.#drag?.region ?? this.#engine.region;
      if (region) {
        pen.fillStyle = style.getPropertyValue("--veil");
        pen.fillRect(x(0), top, x(region.start) - x(0), bottom - top);
        pen.fillRect(x(region.end), top, x(seconds) - x(region.end), bottom - top);
        pen.fillStyle = style.getPropertyValue("--accent");
        for (const edge of [region.start, region.end]) pen.fillRect(x(edge) - 1, top, 2, bottom - top);
      }
      // A line with a rim of the other lightness is seen on every picture.
      pen.fillStyle = style.getPropertyValue("--bg");
      pen.fillRect(x(position) - 1.5, top, 3, bottom - top);
      pen.fillStyle = style.getPropertyValue("--fg");
      pen.fillRect(x(position) - 0.75, top, 1.5, bottom - top);
      this.#canvas.setAttribute("aria-valuemax", seconds.toFixed(2));
      this.#canvas.setAttribute("aria-valuenow", position.toFixed(2));
      this.#canvas.setAttribute("aria-valuetext", `${position.toFixed(1)} of ${seconds.toFixed(1)} seconds`);
    }
  }

  report.Timeline = Timeline;
})();
