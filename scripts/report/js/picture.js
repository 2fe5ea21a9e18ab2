"use strict";
// A signal on a canvas: its waveform, its spectrogram, or how its spectrogram differs from the target's; with axes.
(() => {
  const report = (window.report ??= {});
  const MARGINS = { left: 50, right: 56, top: 10, bottom: 36 }; // CSS pixels
  const LOWEST = 40; // Hz, of the logarithmic axis
  const DIFFERENCE = 18; // dB, at the ends of the colour scale
  const SPECTROGRAMS = new WeakMap(); // by samples

  function spectrogramOf(signal) {
    if (!SPECTROGRAMS.has(signal.samples)) SPECTROGRAMS.set(signal.samples, report.spectrogram.of(signal.samples));
    return SPECTROGRAMS.get(signal.samples);
  }

  /** A round step that divides a span into about `count` parts: 1, 2 or 5 times a power of ten. */
  function step(span, count) {
    const power = 10 ** Math.floor(Math.log10(span / count));
    return power * [1, 2, 5, 10].find((factor) => power * factor * count >= span);
  }

  class Picture {
    #canvas;
    #style;
    static MARGINS = MARGINS;

    constructor(canvas) {
      this.#canvas = canvas;
      this.#style = getComputedStyle(canvas);
    }

    #colour(name) {
      return this.#style.getPropertyValue(name).trim() || this.#style.color;
    }

    /** Draws {kind: "waveform" | "spectrogram" | "difference", signal, target, rate in Hz, peak, log}. */
    draw(view) {
      const { clientWidth: width, clientHeight: height } = this.#canvas;
      if (!width || !height) return;
      const scale = window.devicePixelRatio || 1;
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
      const pen = this.#canvas.getContext("2d");
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.font = `12px ${this.#style.fontFamily}`;
      const box = {
        x: MARGINS.left,
        y: MARGINS.top,
        width: width - MARGINS.left - MARGINS.right,
        height: height - MARGINS.top - MARGINS.bottom,
      };
      if (view.kind === "waveform") this.#waveform(pen, box, view, scale);
      else this.#spectrogram(pen, box, view, scale);
      this.#time(pen, box, view.signal.samples.length / view.rate);
      pen.strokeStyle = this.#colour("--line");
      pen.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
    }

    #time(pen, box, seconds) {
      const every = step(seconds, Math.max(2, box.width / 70));
      const places = Math.max(0, -Math.floor(Math.log10(every) + 1e-9));
      pen.fillStyle = pen.strokeStyle = this.#colour("--muted");
      pen.textAlign = "center";
      pen.textBaseline = "top";
      for (let time = 0; time <= seconds + 1e-9; time += every) {
        const x = box.x + (time / seconds) * box.width;
        pen.fillRect(x, box.y + box.height, 1, 4);
        pen.fillText(time.toFixed(places), x, box.y + box.height + 6);
      }
      pen.fillText("time / s", box.x + box.width / 2, box.y + box.height + 22);
    }

    #vertical(pen, box, ticks, label) {
      pen.fillStyle = this.#colour("--muted");
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      for (const { y, text } of ticks) {
        pen.fillRect(box.x - 4, y, 4, 1);
        if (text) pen.fillText(text, box.x - 7, y);
      }
      pen.save();
      pen.translate(10, box.y + box.height / 2);
      pen.rotate(-Math.PI / 2);
      pen.textAlign = "center";
      pen.fillText(label, 0, 0);
      pen.restore();
    }

    #waveform(pen, box, { signal, peak }, scale) {
      const top = step(Math.max(peak, 1e-3), 4) * 4;
      const y = (amplitude) => box.y + (box.height / 2) * (1 - amplitude / top);
      pen.fillStyle = this.#colour("--sunken");
      pen.fillRect(box.x, box.y, box.width, box.height);
      const ticks = [-1, -0.5, 0, 0.5, 1].map((part) => ({
        y: y(part * top),
        text: String(+(part * top).toPrecision(3)).replace("-", "−"),
      }));
      for (const tick of ticks) {
        pen.fillStyle = this.#colour("--line");
        pen.fillRect(box.x, tick.y, box.width, 1);
      }
      pen.fillStyle = this.#colour(`--c-${signal.id}`);
      const columns = Math.max(1, Math.round(box.width * scale));
      for (let column = 0; column < columns; column++) {
        const from = Math.floor((column * signal.samples.length) / columns);
        const to = Math.max(from + 1, Math.floor(((column + 1) * signal.samples.length) / columns));
        let [low, high] = [Infinity, -Infinity];
        for (let index = from; index < to; index++) {
          low = Math.min(low, signal.samples[index]);
          high = Math.max(high, signal.samples[index]);
        }
        pen.fillRect(box.x + column / scale, y(high), 1 / scale, Math.max(1 / scale, y(low) - y(high)));
      }
      this.#vertical(pen, box, ticks, "amplitude (full scale 1)");
    }

    #spectrogram(pen, box, { kind, signal, target, rate, log }, scale) {
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const differs = kind === "difference";
      let spectra = spectrogramOf(signal);
      if (differs) spectra = report.spectrogram.difference(spectra, spectrogramOf(target));
      const colours = differs ? report.colourmap[dark ? "dark" : "light"] : report.colourmap.level;
      const [low, high] = differs ? [-DIFFERENCE, DIFFERENCE] : [report.spectrogram.FLOOR, 0];
      const frequency = (part) => (log ? LOWEST * (rate / 2 / LOWEST) ** part : (part * rate) / 2); // of 0 ... 1
      const part = (hertz) => (log ? Math.log(hertz / LOWEST) / Math.log(rate / 2 / LOWEST) : (2 * hertz) / rate);

      const columns = Math.max(1, Math.round(box.width * scale));
      const rows = Math.max(1, Math.round(box.height * scale));
      const image = new ImageData(columns, rows);
      const pixels = new Uint32Array(image.data.buffer);
      const { bins, frames, levels } = spectra;
      const bin = Float64Array.from({ length: rows }, (_, row) => {
        const place = (frequency(1 - (row + 0.5) / rows) / (rate / 2)) * (bins - 1);
        return Math.min(place, bins - 1.001);
      });
      const seconds = signal.samples.length / rate;
      for (let column = 0; column < columns; column++) {
        const time = ((column + 0.5) / columns) * seconds;
        const start = Math.min(frames - 1, Math.round((time * rate) / report.spectrogram.HOP)) * bins;
        for (let row = 0; row < rows; row++) {
          const below = Math.floor(bin[row]);
          const mix = bin[row] - below;
          const level = levels[start + below] * (1 - mix) + levels[start + below + 1] * mix;
          const index = Math.round(((level - low) / (high - low)) * (colours.length - 1));
          pixels[row * columns + column] = colours[Math.max(0, Math.min(colours.length - 1, index))];
        }
      }
      pen.putImageData(image, Math.round(box.x * scale), Math.round(box.y * scale));

      const ticks = log ? [50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000] : [0, 5000, 10000, 15000, 20000];
      const shown = ticks.filter((hertz) => hertz <= rate / 2);
      this.#vertical(
        pen,
        box,
        shown.map((hertz) => ({ y: box.y + box.height * (1 - part(hertz)), text: String(hertz / 1000) })),
        "frequency / kHz",
      );
      this.#scale(pen, box, colours, low, high, differs ? "dB" : "dBFS", differs ? 6 : 15);
    }

    #scale(pen, box, colours, low, high, unit, every) {
      const [x, width] = [box.x + box.width + 8, 10];
      for (let row = 0; row < box.height; row++) {
        pen.fillStyle = report.colourmap.css(colours[Math.round((colours.length - 1) * (1 - row / box.height))]);
        pen.fillRect(x, box.y + row, width, 1.5);
      }
      pen.fillStyle = this.#colour("--muted");
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      for (let level = low; level <= high; level += every) {
        const y = box.y + box.height * (1 - (level - low) / (high - low));
        const sign = level > 0 && low < 0 && high > 0 ? "+" : "";
        pen.fillText(`${sign}${String(level).replace("-", "−")}`, x + width + 4, y);
      }
      pen.textAlign = "right";
      pen.textBaseline = "top";
      pen.fillText(unit, box.x + box.width + MARGINS.right - 2, box.y + box.height + 22);
    }
  }

  report.Picture = Picture;
})();
