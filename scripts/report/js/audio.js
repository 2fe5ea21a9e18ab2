"use strict";
// The browser's audio output: made at the first sound that somebody asks for, one for each sample rate.
(() => {
  const report = (window.report ??= {});
  const contexts = new Map();
  let heard = null; // the engine that plays

  /** Plays an engine, and pauses the one that did. `rate` in Hz. */
  async function play(engine, rate) {
    if (!window.AudioContext) throw new Error("This browser has no Web Audio; the player needs it.");
    if (!contexts.has(rate)) contexts.set(rate, new AudioContext({ sampleRate: rate }));
    const context = contexts.get(rate);
    await context.resume();
    if (heard !== engine) heard?.pause();
    heard = engine;
    engine.play(context);
  }

  report.audio = Object.freeze({ play });
})();
