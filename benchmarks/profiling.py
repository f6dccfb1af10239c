"""What profiling a space costs: the share of time inside the runtime, and the error that device-seconds buy.

    python benchmarks/profiling.py --out DIR [--target local] [--space paper] [--minutes 10]

The error is that of the fitted predictor on networks that no fit has seen, measured in a second campaign.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from mnas_evo.devices.campaign import FEWEST_PASSES, REFERENCE, Campaign, Item
from mnas_evo.devices.profile import ProfileRequest, profile
from mnas_evo.devices.target import opened, parse_target
from mnas_evo.latency.combine import combine, reference_level, reference_series
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.runs import Device, Run, RunLog
from mnas_evo.latency.scoring import quality
from mnas_evo.latency.table import Measured, MeasuredNetwork, Table, write_table
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network
from mnas_evo.space.sampling import sample_by_macs
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space

UNSEEN = 60
Runs = list[tuple[int, Run]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the table")
    parser.add_argument("--target", default="local")
    parser.add_argument("--space", default="paper")
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    space, target = load_space(asked.space), parse_target(asked.target)
    with opened(target) as device:
        began = time.perf_counter()
        table, campaign = profile(
            asked.out,
            device,
            ProfileRequest(space),
            target=str(target),
            minutes=asked.minutes,
            progress=lambda share, text: None,
            say=print,
        )
        assert campaign is not None, f"{asked.out} holds a whole table already; give another --out"
        wall = time.perf_counter() - began
        raw = asked.out / "raw"
        runs = RunLog(raw / campaign.id / "runs.jsonl").read()
        say_shares([run for folder in raw.iterdir() for _, run in RunLog(folder / "runs.jsonl").read()], wall)
        networks, truth_ms, noise, truth_level = unseen(device, space, asked.out)
    print(f"truth: {len(networks)} networks that no fit has seen, noise {noise:.2f} %")
    passes = campaign.passes
    for count in sorted({FEWEST_PASSES, 6, 8, 12, 16, 24, passes}):
        if count <= passes:
            so_far = [(p, run) for p, run in runs if p < count]
            predicted = fitted(table, so_far, networks)
            moved = truth_level / reference_level(reference_series(so_far, reference=REFERENCE))
            plain, level = quality(predicted, truth_ms), quality(predicted * moved, truth_ms)
            seconds = sum(run.wall_ns for _, run in so_far) / 1e9
            print(
                f"{count:3} passes, {seconds:5.0f} s: error {plain.mape:.2f} %, within 5 % {plain.w5:.0f} %; "
                f"the reference has moved by {100 * (moved - 1):+.1f} % since, that taken out {level.mape:.2f} %, "
                f"{level.w5:.0f} %"
            )


def say_shares(runs: list[Run], wall: float) -> None:
    """Where the time went: inside the runtime, around it on the device, at the host."""
    inside = sum(sum(run.times_ns) for run in runs) / 1e9
    device = sum(run.wall_ns for run in runs) / 1e9
    print(
        f"{wall:.0f} s in all: {100 * inside / wall:.0f} % inside the runtime's call, "
        f"{100 * (device - inside) / wall:.0f} % loading models, "
        f"{100 * (wall - device) / wall:.0f} % at the host (writing models, the wire, combining)"
    )


def unseen(device: Device, space: SearchSpace, folder: Path) -> tuple[list[Network], np.ndarray, float, float]:
    """Networks of another seed than any campaign's, their times in a campaign of their own, its noise and reference."""
    networks = space.networks(sample_by_macs(space, UNSEEN, rng=np.random.default_rng(1234)))
    items = [Item(format_network(network), "network", lower(network)) for network in networks]
    reference = ("mobilenet-v2", lower(named_network("mobilenet-v2", task=space.frame)))
    campaign = Campaign(folder / "truth", device, items, reference=reference)
    outcome = campaign.measure(minutes=3, fewest_passes=8, progress=lambda share, text: None)
    series = reference_series(RunLog(folder / "truth" / "runs.jsonl").read(), reference=REFERENCE)
    return networks, outcome.networks.ms, outcome.networks.noise_percent, reference_level(series)


def fitted(table: Table, runs: Runs, networks: list[Network]) -> np.ndarray:
    """Predictions, ms, of a predictor fitted on the passes so far."""
    rows = combine(runs, list(table.rows), reference=REFERENCE)
    whole = combine(runs, [entry.network for entry in table.networks], reference=REFERENCE)
    sofar = Table(
        table.folder,
        table.device,
        table.campaigns,
        {item: Measured(float(ms), 0.0, 1) for item, ms in zip(rows.items, rows.ms, strict=True)},
        tuple(
            MeasuredNetwork(entry.network, entry.role, Measured(float(ms), 0.0, 1))
            for entry, ms in zip(table.networks, whole.ms, strict=True)
        ),
    )
    with tempfile.TemporaryDirectory() as scratch:
        write_table(Path(scratch), sofar)
        return fit(Path(scratch)).predict_networks(networks).value


if __name__ == "__main__":
    main()
