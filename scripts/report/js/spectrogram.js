"use strict";
// Short-time spectra: Hann window of 1024, hop 256, in dBFS (a full-scale sine on a bin's centre is 0 dB).
(() => {
  const report = (window.report ??= {});
  const SIZE = 1024;
  const HOP = 256;
  const FLOOR = -90; // dBFS: what lies below is the floor, in the picture and in the difference

  const cosines = Float64Array.from({ length: SIZE / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / SIZE));
  const sines = Float64Array.from({ length: SIZE / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / SIZE));
  const hann = Float64Array.from({ length: SIZE }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / SIZE));
  const bits = Math.log2(SIZE);
  const reversed = Uint16Array.from({ length: SIZE }, (_, n) => {
    let other = 0;
    for (let bit = 0; bit < bits; bit++) other |= ((n >> bit) & 1) << (bits - 1 - bit);
    return other;
  });

  /** Radix-2 FFT in place; the arrays come in bit-reversed order. */
  function transform(real, imaginary) {
    for (let half = 1; half < SIZE; half *= 2) {
      const stride = SIZE / (2 * half);
      for (let start = 0; start < SIZE; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [low, high] = [start + k, start + k + half];
          const cosine = cosines[k * stride];
          const sine = sines[k * stride];
          const re = real[high] * cosine - imaginary[high] * sine;
          const im = real[high] * sine + imaginary[high] * cosine;
          real[high] = real[low] - re;
          imaginary[high] = imaginary[low] - im;
          real[low] += re;
          imaginary[low] += im;
        }
      }
    }
  }

  /** {frames, bins, levels}: level of frame f and bin k at f * bins + k. Frame f is centred on sample f * HOP. */
  function spectrogram(samples) {
    const frames = Math.ceil(samples.length / HOP);
    const bins = SIZE / 2 + 1;
    const levels = new Float32Array(frames * bins);
    const real = new Float64Array(SIZE);
    const imaginary = new Float64Array(SIZE);
    const gain = (2 / (SIZE / 2)) ** 2 / 4; // 2 / sum of the window, and 1/2 from telling two frames apart; squared
    const level = (re, im) => Math.max(FLOOR, 10 * Math.log10(gain * (re * re + im * im) + 1e-30));
    for (let frame = 0; frame < frames; frame += 2) {
      // Two real frames are one complex one: the first in the real part, the second in the imaginary.
      const first = frame * HOP - SIZE / 2;
      for (let n = 0; n < SIZE; n++) {
        real[reversed[n]] = hann[n] * (samples[first + n] ?? 0);
        imaginary[reversed[n]] = hann[n] * (samples[first + HOP + n] ?? 0);
      }
      transform(real, imaginary);
      for (let k = 0; k < bins; k++) {
        const mirror = (SIZE - k) % SIZE;
        levels[frame * bins + k] = level(real[k] + real[mirror], imaginary[k] - imaginary[mirror]);
        if (frame + 1 < frames)
          levels[(frame + 1) * bins + k] = level(imaginary[k] + imaginary[mirror], real[k] - real[mirror]);
      }
    }
    return { frames, bins, levels };
  }

  /** The difference of two spectrograms in dB. */
  function difference(model, target) {
    const levels = model.levels.map((level, index) => level - target.levels[index]);
    return { ...model, levels };
  }

  report.spectrogram = Object.freeze({ of: spectrogram, difference, HOP, FLOOR });
})();
