"""How close networks come to the LA-2A at every setting of a test split, and how they follow their knob.

python -m scripts.measure --run runs/quick/mrstft-seed1 --run runs/quick/l1-seed1
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.run import Run
from scripts.measure.comparison import COMPRESS, Behaviour, comparisons, la2a_behaviour, lines, medians, settings_of
from scripts.measure.devices import Setting, moved_la2a, moved_network, network_at
from scripts.measure.knob_steps import worst_rise
from scripts.measure.knob_sweep import sweep_of


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.measure", description="Networks beside the LA-2A at every setting of the test."
    )
    parser.add_argument("--run", type=Path, action="append", required=True, help="folder of a run; may be repeated")
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    chosen = parser.parse_args(arguments)
    targets: dict[tuple[Setting, int], Behaviour] = {}
    try:
        for folder in chosen.run:
            run = Run.read(folder, chosen.checkpoint)
            net = run.net()
            settings, rate = settings_of(run.source)
            new = [setting for setting in settings if (setting, rate) not in targets]
            targets |= {(setting, rate): behaviour for setting, behaviour in la2a_behaviour(new, rate).items()}
            found = comparisons(network_at(net), {setting: targets[setting, rate] for setting in settings}, rate)
            print(
                f"{folder}: network / device; curve: largest error of the static curve",
                *lines(found),
                f"median over {len(found)} settings: {medians(found)}",
                sep="\n",
            )
            for name, moved in (("network", partial(moved_network, net)), ("LA-2A", partial(moved_la2a, rate))):
                print(f"knob of the {name}: {sweep_of(moved(COMPRESS), rate)}; {worst_rise(moved, rate)}", flush=True)
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
