"""Check a data set in SignalTrain's layout, and tell what is in it, and what would spoil a training.

python -m scripts.check_dataset --root /path/to/SignalTrain_LA2A_Dataset_1.1
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data.signaltrain import SPLITS, Content, Recording, check_content, recordings
from data.spoilers import spoilers


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 if the data set cannot be used, or would spoil a training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="the folder that holds Train, Val and Test")
    parser.add_argument("--sample-rate", type=int, default=44_100, help="in Hz (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=1, help="of every file (default: %(default)s)")
    parser.add_argument("--segment-length", type=int, default=32_768, help="samples of a training crop")
    parser.add_argument("--eval-length", type=int, default=262_144, help="samples of a block in evaluation")
    options = parser.parse_args(arguments)
    try:
        found = recordings(options.root, options.sample_rate, options.channels)
        contents = check_content(found)
    except ValueError as error:
        print(_own_options(str(error)), file=sys.stderr)
        return 1
    lengths = {"train": options.segment_length, "val": options.eval_length, "test": options.eval_length}
    print("\n".join(describe(found, contents, lengths)))
    faults = spoilers(found)
    if faults:
        print("This would spoil a training:", *(f"  - {fault}" for fault in faults), sep="\n", file=sys.stderr)
    return 1 if faults else 0


def _own_options(message: str) -> str:
    """A message of data/ in terms of this command instead of train.py's."""
    for option, own in (
        ("data.sample_rate=", "--sample-rate "),
        ("data.channels=", "--channels "),
        ("data.root=", "--root "),
    ):
        message = message.replace(option, own)
    return message


def describe(found: dict[str, list[Recording]], contents: dict[Path, Content], lengths: dict[str, int]) -> list[str]:
    """A line for each split, and the settings that training never sees.

    Args:
        found: the recordings of each split
        contents: the peak of each file
        lengths: samples of a chunk in each split
    """
    lines = ["split  pairs    hours  settings  full chunks        peak in   peak out"]
    settings = {split: {recording.setting: recording.controls for recording in found[split]} for split in SPLITS}
    for split in SPLITS:
        pairs = found[split]
        hours = sum(recording.seconds for recording in pairs) / 3600
        chunks = sum(recording.frames // lengths[split] for recording in pairs)
        peak_in = max(contents[recording.input].peak for recording in pairs)
        peak_out = max(contents[recording.target].peak for recording in pairs)
        lines.append(
            f"{split:5}  {len(pairs):5}  {hours:7.2f}  {len(settings[split]):8}  "
            f"{chunks:6} × {lengths[split]:<7}  {peak_in:8.4f}   {peak_out:8.4f}"
        )
    for split in ("val", "test"):
        unseen = sorted(set(settings[split]) - set(settings["train"]), key=lambda name: settings[split][name])
        lines.append(f"settings of {split} that are not in train: {', '.join(unseen) or 'none'}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
