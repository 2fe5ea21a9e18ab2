"use strict";
// Starts the parts. Nothing heavy happens before a section is near the screen.
//
// How the files hang together: each puts one name into `window.report`. The page holds them in the order of the alphabet,
// this one last; a file takes the names of others when it is called, and calls nothing while it is read.
//
//   main       -> sort, passages, player, listening, keys
//   player     -> engine (what plays), picture (what is seen), timeline (cursor and loop), passages, audio, keys
//   listening  -> abx, mushra, passages, keys
//   abx, mushra -> stage (what both play on), random, statistics, csv
//   stage      -> engine, timeline, audio
//   picture    -> spectrogram, colourmap
//   dom (elements without markup) serves all that show something
(() => {
  const report = (window.report ??= {});

  function near(id, action) {
    const section = document.getElementById(id);
    if (!section) return;
    const watcher = new IntersectionObserver(
      (entries) => {
        if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
        watcher.disconnect();
        action();
      },
      { rootMargin: "200px" },
    );
    watcher.observe(section);
  }

  document.addEventListener("DOMContentLoaded", () => {
    report.sort.start();
    if (!report.passages.list().length) return;
    report.player = new report.Player();
    near("player", () => report.player.load());
    near("listening", report.listening.start());
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-listen]");
      if (!button) return;
      document.getElementById("player").scrollIntoView();
      report.keys.take(document.getElementById("player"));
      report.player.load(button.dataset.listen).then(() => report.player.play());
    });
  });
})();
