"""Write the embedded data set, or tell what the one that is there holds.

python -m scripts.make_dataset --root datasets/la2a --minutes 40
python -m scripts.make_dataset --minutes 600 --processes 16        ten hours, on 16 cores
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
    parser.add_argument(
        "--root", default="datasets/la2a-<minutes>min-seed<seed>", help="folder of the data set (default: %(default)s)"
    )
    parser.add_argument("--minutes", type=float, default=40.0, help="length of Train; Val and Test add 15 %% or more")
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--sample-rate", type=int, default=44100, help="Hz")
    parser.add_argument("--processes", type=int, default=1, help="that write, to the same files")
    options = parser.parse_args(arguments)
    root = options.root.replace("<minutes>", f"{options.minutes:g}").replace("<seed>", str(options.seed))
    try:
        found = embedded.recordings(
            root, options.minutes, options.seed, options.sample_rate, processes=options.processes
        )
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(f"{root}:")
    for split, recordings in found.items():
        minutes = sum(r.seconds for r in recordings) / 60
        knobs = {r.controls: r.setting for r in recordings}
        print(f"  {split:5} {minutes:7.1f} min, {len(recordings)} recordings, {len(knobs)} settings:")
        print("        " + " ".join(knobs[controls] for controls in sorted(knobs)))
    words = ["python train.py", f"data.root={root}", f"data.recordings.minutes={options.minutes:g}"]
    for option, value, usual in (
        ("data.recordings.seed", options.seed, parser.get_default("seed")),
        ("data.sample_rate", options.sample_rate, parser.get_default("sample_rate")),
    ):
        words += [f"{option}={value}"] if value != usual else []
    print("Train on it:", *words)


if __name__ == "__main__":
    main()
