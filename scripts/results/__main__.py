"""``python -m scripts.results runs/quick/results`` writes the tables again, and prints Table 1."""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.results", description="Writes and prints Table 1 again from the scores of evaluate.py."
    )
    parser.add_argument("results", type=Path, help="folder that evaluate.py wrote")
    folder = parser.parse_args().results
    from scripts.results import formats, scores  # take seconds, which --help need not wait for

    try:
        print(formats.write(folder, scores.read(folder)))
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
