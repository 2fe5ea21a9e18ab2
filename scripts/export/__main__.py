"""Exports a trained run: its network as ONNX and torch.export graphs, with a description and recordings to check by.

python -m scripts.export --run runs/quick/l1-seed42                     writes runs/quick/l1-seed42/export
python -m scripts.export --run runs/quick/l1-seed42 --format onnx --out plugin/model
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.export import card, folder


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m scripts.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", required=True, type=Path, help="folder of the run")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help="(default: %(default)s)")
    parser.add_argument("--format", choices=folder.FORMATS, action="append", help="may be repeated (default: both)")
    parser.add_argument("--out", type=Path, help="folder of the export (default: <run>/export)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the recording (default: %(default)s)")
    options = parser.parse_args(arguments)
    out = options.out or options.run / "export"
    try:
        about = folder.write(options.run, out, options.checkpoint, options.format or folder.FORMATS, options.seconds)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    if about["scores"] is None and "Not scored" in (out / card.CARD).read_text(encoding="utf-8"):
        print("The export has no scores: evaluate.py has not scored this checkpoint. Evaluate, then export again.")
    latency = about["latency"]
    print(f"{out}: latency {latency} samples ({1000 * latency / about['sample_rate']:.1f} ms)")


if __name__ == "__main__":
    main()
