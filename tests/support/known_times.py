"""Devices whose true times are known: the plain one of most tests, and those a latency predictor has to master.

On the plain one a row's time follows from its key, and a network's is a fixed cost and its rows.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mnas_evo.devices.fake import FakeDevice
from mnas_evo.latency.additive import Design, design_of
from mnas_evo.latency.features import features_of
from mnas_evo.latency.rows import OwnRows
from mnas_evo.latency.runs import DeviceFacts
from mnas_evo.latency.table import CampaignFacts, Measured, MeasuredNetwork, Table, row_key
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Graph, Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space import SearchSpace, distinct_rows
from mnas_evo.space.space_file import parse_space

OVERHEAD_MS = 0.3

FACTS = DeviceFacts(
    name="known", soc="known", os="none", runtime="fake", runtime_version="1", threads=1, precision="fp32"
)
CAMPAIGN = CampaignFacts(
    id="0123456789ab",
    date="2024-05-06",
    target="fake",
    space="tiny",
    space_fingerprint=None,
    passes=4,
    device_seconds=1.5,
    noise_rows_percent=0.2,
    noise_networks_percent=0.4,
    exposure_rows=0.0,
    exposure_networks=1.0,
    reference="mobilenet-v2",
    reference_ms=2.5,
    seed=0,
    versions={},
)


def row_ms(key: str) -> float:
    """True time of a row: 0.1 to 1 ms, as its key's digest says."""
    return 0.1 + 0.9 * int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32


def network_ms(network: Network, *, facts: DeviceFacts = FACTS) -> float:
    """True time of a network."""
    return OVERHEAD_MS + sum(row_ms(row_key(layer, device=facts)) for layer in lower(network).layers)


def item_ms(key: str) -> float:
    """True time of anything a campaign visits: a row's key, a network's string, or the reference."""
    if key == "reference":
        return 5.0
    return network_ms(parse_network(key)) if "/" in key else row_ms(key)


def empty_table(name: str = "known", *, facts: DeviceFacts = FACTS) -> Table:
    """A table of one campaign that found nothing."""
    return Table(Path(name), facts, (CAMPAIGN,), {}, ())


def known_table(
    space: SearchSpace,
    *,
    networks: int,
    noise: float = 0.003,
    bend: Callable[[Network], float] = lambda network: 1.0,
    seed: int = 0,
) -> Table:
    """A space's rows, true, and distinct sampled networks with noise; `bend` multiplies a network's time."""
    rng = np.random.default_rng(seed)
    genes = space.sample(4 * networks, rng=rng)
    sampled = space.networks(genes[list(distinct_rows(genes))][:networks])
    times = [network_ms(network) * bend(network) * (1 + noise * rng.standard_normal()) for network in sampled]
    rows = {key: Measured(row_ms(key), 0.2, 4) for key in (row_key(layer, device=FACTS) for layer in space.layers())}
    measured = (
        MeasuredNetwork(format_network(network), "sampled", Measured(ms, 0.4, 4))
        for network, ms in zip(sampled, times, strict=True)
    )
    return replace(empty_table(), rows=rows, networks=tuple(measured))


def crowded(network: Network) -> float:
    """A bend that no sum over layers can tell: blocks of regular convolutions alone get in each other's way."""
    return 1.4 if all(block.op == "conv" for block in network.architecture.blocks) else 1.0


def measured_graphs(table: Table) -> list[Graph]:
    """A table's networks, lowered."""
    return [lower(parse_network(entry.network)) for entry in table.networks]


def measured_ms(table: Table) -> np.ndarray:
    """The times of a table's networks, (n,)."""
    return np.array([entry.time.ms for entry in table.networks])


def measured_design(table: Table) -> Design:
    """A table's networks as a model sees them: by its rows, if it has any."""
    graphs = measured_graphs(table)
    return design_of(graphs, features_of(graphs, OwnRows(table) if table.rows else None))


class OtherDevice(FakeDevice):
    """A fake device that says it is another than the fake one."""

    def facts(self) -> DeviceFacts:
        """Facts with another processor."""
        return super().facts().model_copy(update={"soc": "another"})


def change_lines(path: Path, change: Callable[[Sequence[str]], Sequence[str]]) -> None:
    """Rewrites a file of lines."""
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


# Devices of every kind. What a layer takes follows from its work, and a tenth or so from its key's digest.

SMALL = parse_space(
    """
format = 1
name = "small"
input = [32, 32, 3]
classes = 10
stem = { channels = 8, stride = 2 }
head = 32

[choices]
op = ["conv", "dconv", "mbconv_e3"]
kernel = [3, 5]
se_ratio = [0.0, 0.25]
skip = ["pool", "identity", "none"]
filters = [0.75, 1.0, 1.5]
layers = [-1, 0, 1]

[[blocks]]
channels = 16
layers = 2
stride = 1

[[blocks]]
channels = 32
layers = 2
stride = 2

[[blocks]]
channels = 48
layers = 2
stride = 2
""",
    source="small",
)

Noise = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Half a percent."""
    return np.exp(0.005 * rng.standard_normal(n))


def heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    """Of Student's t with two degrees of freedom, whose variance is endless; no time falls below half of itself."""
    return np.maximum(1 + 0.005 * rng.standard_t(2, n), 0.5)


def silent(rng: np.random.Generator, n: int) -> np.ndarray:
    """None."""
    return np.ones(n)


def disturbed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Half a percent, but three measurements in a hundred take twice as long."""
    return normal(rng, n) * np.where(rng.random(n) < 0.03, 2.0, 1.0)


@dataclass(frozen=True)
class SyntheticDevice:
    """A device: what a call costs beside its layers, by what a network's time is multiplied, and its noise."""

    name: str
    overhead_ms: float = 0.0
    factor: Callable[[Graph], float] = lambda graph: 1.0
    noise: Noise = normal
    scale: float = 1.0

    def row_ms(self, layer: Layer) -> float:
        """True time of a layer: a launch, its multiply-adds, less well used where they are depthwise, its traffic."""
        deep = sum(op.macs for op in layer.ops if op.groups > 1)
        moved = sum(channels * height * width for channels, height, width in layer.values)
        work_ms = 0.02 + (layer.macs + 4 * deep) / 2e7 + moved / 2e6 + layer.params / 1e6
        return self.scale * work_ms * (0.85 + 0.3 * row_ms(layer.spec.key))

    def network_ms(self, graph: Graph) -> float:
        """True time of a network."""
        return self.factor(graph) * (self.scale * self.overhead_ms + sum(map(self.row_ms, graph.layers)))

    def networks_ms(self, graphs: Sequence[Graph]) -> np.ndarray:
        """True times of networks, (n,)."""
        return np.array([self.network_ms(graph) for graph in graphs])

    def table(self, space: SearchSpace, *, networks: int, rows: bool = True, seed: int = 0) -> Table:
        """A space's rows, true, and distinct sampled networks with noise."""
        rng = np.random.default_rng([seed, 1])
        genes = space.sample(4 * networks, rng=rng)
        sampled = space.networks(genes[list(distinct_rows(genes))][:networks])
        times = self.networks_ms([lower(network) for network in sampled]) * self.noise(rng, networks)
        known = {row_key(layer, device=FACTS): Measured(self.row_ms(layer), 0.2, 4) for layer in space.layers() if rows}
        measured = (
            MeasuredNetwork(format_network(network), "sampled", Measured(float(ms), 0.4, 4))
            for network, ms in zip(sampled, times, strict=True)
        )
        return replace(empty_table(self.name), rows=known, networks=tuple(measured))


def weights_spill(graph: Graph) -> float:
    """A cache that the weights outgrow: half as slow again from 60,000 of them."""
    return 1.5 if graph.params > 60_000 else 1.0


def activations_spill(graph: Graph) -> float:
    """Slower and slower the more elements are alive at once, up to 1.5 times."""
    return float(1 + 0.5 / (1 + np.exp(-(graph.peak_elements - 20_000) / 5_000)))


DEVICES = (
    SyntheticDevice("additive"),
    SyntheticDevice("overhead", overhead_ms=0.5),
    SyntheticDevice("weights", overhead_ms=0.5, factor=weights_spill),
    SyntheticDevice("activations", overhead_ms=0.5, factor=activations_spill),
    SyntheticDevice("heavy", overhead_ms=0.5, noise=heavy),
    SyntheticDevice("disturbed", overhead_ms=0.5, noise=disturbed),
)
