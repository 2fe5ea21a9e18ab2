"""The report of a study: one self-contained page. ``python -m scripts.report runs/quick/results`` makes it."""
