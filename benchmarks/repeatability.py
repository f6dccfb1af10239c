"""How well two campaigns agree: this project's method against one long visit an item, at equal time on the device.

Run it at least twice, hours apart; each run adds its times to a file, and from the second on every pair is compared:

    python benchmarks/repeatability.py --record FILE [--target local] [--seconds 60]
"""

import argparse
import datetime
import itertools
import json
import tempfile
from pathlib import Path

import numpy as np

from mnas_evo.devices.campaign import Campaign, Item
from mnas_evo.devices.target import opened, parse_target
from mnas_evo.latency.runs import Device, Plan, Visit
from mnas_evo.models.onnx_writer import SharedWeights, onnx_model
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network
from mnas_evo.space.sampling import sample_by_macs
from mnas_evo.space.space_file import load_space

NETWORKS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--target", default="local")
    parser.add_argument("--space", default="paper")
    parser.add_argument("--seconds", type=float, default=60.0, help="time on the device, for each of the two ways")
    asked = parser.parse_args()

    space = load_space(asked.space)
    networks = space.networks(sample_by_macs(space, NETWORKS, rng=np.random.default_rng(0)))
    items = [Item(format_network(network), "network", lower(network)) for network in networks]
    reference = ("mobilenet-v2", lower(named_network("mobilenet-v2", task=space.frame)))
    with opened(parse_target(asked.target)) as device, tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(Path(scratch) / "campaign", device, items, reference=reference)
        outcome = campaign.measure(
            minutes=asked.seconds / 60,
            wanted_noise_percent=0.0,
            wanted_interval_percent=0.0,
            progress=lambda share, text: None,
        )
        one_visit_ms = long_visits(device, items, Path(scratch), seconds=outcome.device_seconds)
    record = json.loads(asked.record.read_text()) if asked.record.exists() else []
    record.append(
        {
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
            "device_seconds": outcome.device_seconds,
            "noise_percent": outcome.networks.noise_percent,
            "campaign_ms": outcome.networks.ms.tolist(),
            "one_visit_ms": one_visit_ms,
        }
    )
    asked.record.write_text(json.dumps(record))
    print(
        f"{record[-1]['at']}: {outcome.passes} passes in {outcome.device_seconds:.0f} s, own noise "
        f"{outcome.networks.noise_percent:.2f} %"
    )
    for first, second in itertools.combinations(record, 2):
        ways = {name: disagreement(first[f"{name}_ms"], second[f"{name}_ms"]) for name in ("campaign", "one_visit")}
        print(
            f"{first['at']} against {second['at']}: campaigns {ways['campaign']:.2f} %, one long visit "
            f"{ways['one_visit']:.2f} %, ratio {ways['one_visit'] / ways['campaign']:.1f}"
        )


def long_visits(device: Device, items: list[Item], folder: Path, *, seconds: float) -> list[float]:
    """Median of one visit an item, the time shared out evenly, ms."""
    graphs = [item.graph for item in items]
    weights = SharedWeights(graphs)
    weights.write(folder, rng=np.random.default_rng(0))
    for number, graph in enumerate(graphs):
        (folder / f"{number}.onnx").write_bytes(onnx_model(graph, weights=weights).SerializeToString())
    order = np.random.default_rng(1).permutation(len(items)).tolist()
    visits = tuple(Visit(i, items[i].key, f"{i}.onnx", (1, *items[i].graph.in_shape)) for i in order)
    plan = Plan(folder, visits, int(1e9 * seconds / len(items)), max_repeats=1_000_000)
    found = {run.slot: float(np.median(run.times_ns)) / 1e6 for run in device.run(plan)}
    return [found[i] for i in range(len(items))]


def disagreement(first: list[float], second: list[float]) -> float:
    """Mean absolute difference over the mean of the two, percent."""
    one, other = np.array(first), np.array(second)
    return float(100 * np.mean(2 * np.abs(one - other) / (one + other)))


if __name__ == "__main__":
    main()
