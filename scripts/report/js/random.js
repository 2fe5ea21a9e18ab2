"use strict";
// Draws for the listening test that nobody can foresee: from the system's generator, without modulo bias.
(() => {
  const report = (window.report ??= {});

  /** A uniform integer in [0, count). */
  function below(count) {
    const limit = Math.floor(2 ** 32 / count) * count;
    const word = new Uint32Array(1);
    do crypto.getRandomValues(word);
    while (word[0] >= limit);
    return word[0] % count;
  }

  /** A copy of the items in random order (Fisher-Yates). */
  function shuffled(items) {
    const copy = [...items];
    for (let last = copy.length - 1; last > 0; last--) {
      const other = below(last + 1);
      [copy[last], copy[other]] = [copy[other], copy[last]];
    }
    return copy;
  }

  report.random = Object.freeze({ below, shuffled });
})();
