"""Measures speed, and prints a Markdown table.

python -m scripts.benchmark losses        the losses against the published package
python -m scripts.benchmark train         a training step of the network
python -m scripts.benchmark stream        networks over a signal in blocks
python -m scripts.benchmark live          trained networks: accuracy against cost
python -m scripts.benchmark evaluate      scoring against running the network
python -m scripts.benchmark export        an exported network against PyTorch
python -m scripts.benchmark data          reading and making recordings

python -m scripts.benchmark losses --help                              the options of one
"""

from __future__ import annotations

import argparse
import importlib

from scripts import extras


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=("losses", "train", "stream", "live", "evaluate", "export", "data"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="options of the subject")
    chosen = parser.parse_args()
    if chosen.subject in ("export", "live"):
        try:
            extras.require("export", chosen.subject)
        except ValueError as error:
            parser.error(str(error))
    # Imported once chosen: the losses need no package of the study.
    importlib.import_module(f"scripts.benchmark.{chosen.subject}").main(chosen.arguments)


if __name__ == "__main__":
    main()
