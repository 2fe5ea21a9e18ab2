"""Pools what many listeners said in the report's tests or in webMUSHRA; or writes a test for webMUSHRA.

python -m scripts.listening answers/*.csv
python -m scripts.listening --export runs/quick/results --out webMUSHRA --name la2a
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.listening", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="*", help="CSV files of listeners")
    parser.add_argument("--export", type=Path, metavar="REPORT", help="report.html or its folder, for webMUSHRA")
    parser.add_argument(
        "--out", type=Path, default=Path("webMUSHRA"), help="folder to export to (default: %(default)s)"
    )
    parser.add_argument("--name", default="listening", help="of the exported test (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if bool(chosen.files) == bool(chosen.export):
        parser.error("name files of listeners, or a report to --export")
    from scripts.listening import answers, text, webmushra  # take a second, which --help need not wait for

    try:
        if chosen.export:
            test = webmushra.export(chosen.export, chosen.out, chosen.name)
            print(f"{test}\nin webMUSHRA's folder: http://localhost:8000/?config={test.name}")
        else:
            print(text.summary(*answers.read(chosen.files)))
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
