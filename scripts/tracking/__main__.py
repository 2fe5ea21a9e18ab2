"""Which metric tracks the device, of the runs that evaluate.py has scored on the embedded data set.

python -m scripts.tracking runs/quick/results

Prints the rank correlation of each metric with four errors of the device, and writes ``tracking.csv`` and
``tracking.md`` into the folder of results; the report then shows them. docs/tracking.md says what they mean.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.tracking",
        description="Rank correlation of the metrics with the errors of the device itself.",
    )
    parser.add_argument("results", type=Path, help="folder that evaluate.py wrote, for runs on the embedded data set")
    folder = parser.parse_args().results
    from scripts.tracking import study  # takes seconds, which --help need not wait for

    try:
        print(study.write(folder))
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
