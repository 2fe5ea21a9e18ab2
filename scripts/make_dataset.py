"""Write the embedded data set, or tell what the one that is there holds.

python -m scripts.make_dataset --root datasets/la2a --minutes 40
"""

import argparse
import sys

from data import embedded


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.make_dataset",
        description="Write the embedded data set, or tell what the one that is there holds.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--root", default="datasets/la2a", help="folder of the data set")
    parser.add_argument("--minutes", type=float, default=40, help="length of Train; Val and Test add 15 %% each")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--sample-rate", type=int, default=44100, help="Hz")
    options = parser.parse_args(arguments)
    try:
        found = embedded.recordings(options.root, options.minutes, options.seed, options.sample_rate)
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(f"{options.root}:")
    for split, recordings in found.items():
        minutes = sum(r.seconds for r in recordings) / 60
        knobs = {r.controls: r.setting for r in recordings}
        print(f"  {split:5} {minutes:7.1f} min, {len(recordings)} recordings, {len(knobs)} settings:")
        print("        " + " ".join(knobs[controls] for controls in sorted(knobs)))


if __name__ == "__main__":
    main()
