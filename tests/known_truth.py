"""A device whose true times are known: a row's follow from its key, a network's are a fixed cost and its rows."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mnas_evo.devices.fake import FakeDevice
from mnas_evo.latency.runs import DeviceFacts
from mnas_evo.latency.table import CampaignFacts, Measured, MeasuredNetwork, Table, row_key
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space import SearchSpace, distinct_rows

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


class OtherDevice(FakeDevice):
    """A fake device that says it is another than the fake one."""

    def facts(self) -> DeviceFacts:
        """Facts with another processor."""
        return super().facts().model_copy(update={"soc": "another"})


def change_lines(path: Path, change: Callable[[Sequence[str]], Sequence[str]]) -> None:
    """Rewrites a file of lines."""
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))
