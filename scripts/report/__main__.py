"""``python -m scripts.report runs/quick/results``"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from scripts import extras


def processor_time() -> float:
    """Seconds, of this process and of those that it has started and seen end."""
    return sum(os.times()[:4])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.report", description="Makes report.html from the results of evaluate.py."
    )
    parser.add_argument("results", type=Path, help="folder with scores.csv and evaluation.json")
    results = parser.parse_args().results
    try:
        extras.require("report", "report.html")
    except ValueError as error:
        sys.exit(f"Error: {error}")
    from scripts.report import build  # takes seconds, which --help need not wait for

    start, worked = time.monotonic(), processor_time()
    try:
        page = build.write(results)
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    took, worked = time.monotonic() - start, processor_time() - worked
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB, made in {took:.0f} s ({worked:.0f} s of the processor)")


if __name__ == "__main__":
    main()
