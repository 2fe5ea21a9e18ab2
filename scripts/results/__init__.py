"""From scores to intervals, tests and tables: ``python -m scripts.results runs/quick/results`` writes them again."""
