"use strict";
// Starts the parts. Nothing heavy happens before a section is near the screen.
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
