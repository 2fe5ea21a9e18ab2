"use strict";
// The passages embedded in the page: listed by title, parsed and decoded only when one is picked.
(() => {
  const report = (window.report ??= {});
  const kept = new Map(); // the last few that were picked, as promises
  const KEPT = 3;

  const elements = () => [...document.querySelectorAll("script.passage")];

  /** Every passage: id, title, and group, "passage" or "worst". Nothing is parsed for this. */
  const list = () => elements().map(({ dataset }) => ({ id: dataset.id, title: dataset.title, group: dataset.group }));

  function bytes(base64) {
    const binary = atob(base64);
    const array = new Uint8Array(binary.length);
    for (let index = 0; index < binary.length; index++) array[index] = binary.charCodeAt(index);
    return array.buffer;
  }

  function peak(samples) {
    let highest = 0;
    for (let index = 0; index < samples.length; index++) highest = Math.max(highest, Math.abs(samples[index]));
    return highest;
  }

  async function decode(id) {
    const source = elements().find(({ dataset }) => dataset.id === id);
    if (!source) throw new Error(`This page holds no passage ${id}.`);
    if (!window.OfflineAudioContext) throw new Error("This browser has no Web Audio; the player needs it.");
    const passage = JSON.parse(source.textContent);
    const context = new OfflineAudioContext(1, 1, passage.sample_rate); // decodes at the passage's own rate
    const signals = passage.signals.map(async ({ id, label, kind, lufs, flac }) => {
      let buffer;
      try {
        buffer = await context.decodeAudioData(bytes(flac));
      } catch {
        throw new Error(
          `“${label}” of “${passage.title}” cannot be decoded: ` +
            "this browser may not read FLAC, or the file is damaged.",
        );
      }
      const samples = buffer.getChannelData(0);
      return { id, label, kind, lufs, buffer, samples, peak: peak(samples) };
    });
    return { id, title: passage.title, rate: passage.sample_rate, signals: await Promise.all(signals) };
  }

  /** The decoded passage: id, title, rate in Hz, and signals with AudioBuffer, samples and peak. */
  function load(id) {
    if (!kept.has(id)) {
      const promise = decode(id);
      promise.catch(() => kept.delete(id));
      kept.set(id, promise);
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    }
    return kept.get(id);
  }

  report.passages = Object.freeze({ list, load });
})();
