"""A campaign over fourteen rows and four networks of the tiny space, on a fake device."""

from pathlib import Path

import numpy as np
from strategies import TINY
from support.known_times import item_ms

from mnas_evo.devices.campaign import REFERENCE_EVERY, Campaign, Item, Outcome
from mnas_evo.devices.fake import FakeDevice
from mnas_evo.latency.runs import Device, Run, RunLog
from mnas_evo.space.graph import Graph
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network

ROWS = [
    Item(f"{layer.spec.key}_b1_fp32", "row", Graph(layer.in_shape, (layer,), ("row",))) for layer in TINY.layers()[:14]
]
NETWORKS = [
    Item(format_network(network), "network", lower(network))
    for network in TINY.networks(TINY.sample(4, rng=np.random.default_rng(0)))
]
ITEMS = [*ROWS, *NETWORKS]
REFERENCE = parse_network("8x8x1/stem4/r1_k3_e1_o4/head8/2")
VISITS_A_PASS = len(ITEMS) + 1 + -(-len(ITEMS) // REFERENCE_EVERY)

Log = list[tuple[int, Run]]


def silent(share: float, text: str) -> None:
    """Progress that nobody watches."""


def campaign(folder: Path, device: Device, *, items: list[Item] = ITEMS, seed: int = 0) -> Campaign:
    """A campaign over a few rows and networks."""
    return Campaign(folder, device, items, reference=("a tiny network", lower(REFERENCE)), seed=seed)


def measure(folder: Path, device: Device, *, minutes: float = 0.0, noise_percent: float = -1.0) -> Outcome:
    """Measures until the budget ends it: noise is never below -1 %."""
    return campaign(folder, device).measure(minutes=minutes, wanted_noise_percent=noise_percent, progress=silent)


def log_of(folder: Path) -> Log:
    """What a campaign's folder holds."""
    return RunLog(folder / "runs.jsonl").read()


def steady(**faults: object) -> FakeDevice:
    """A device without noise, whose runs can be compared to the nanosecond."""
    return FakeDevice(item_ms, noise=0.0, **faults)  # type: ignore[arg-type]
