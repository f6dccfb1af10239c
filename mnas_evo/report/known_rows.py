"""The rows of a table whose layers are known: by family and kernel, and in pairs that differ in one choice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnas_evo.errors import NotationError
from mnas_evo.latency.features import family
from mnas_evo.latency.table import Measured, Table, parse_row_key
from mnas_evo.space.graph import Layer, LayerSpec
from mnas_evo.space.lowering import lower, lower_layer
from mnas_evo.space.notation import parse_network

FEWEST_TO_COMPARE = 5  # rows of a group whose median is compared in words, or pairs of rows
EDGE = "edge"


@dataclass(frozen=True, slots=True)
class KnownRow:
    """A row whose layer is known; `macs` are of the whole batch."""

    key: str
    layer: Layer
    macs: int
    time: Measured

    @property
    def giga_macs_per_s(self) -> float:
        """Multiply-adds a second, in billions."""
        return self.macs / self.time.ms / 1e6

    @property
    def group(self) -> tuple[str, int]:
        """Family and kernel, by which the table of families is ordered; what is neither block op is one group."""
        name = family(self.layer)
        return (name, 1 if name == EDGE else self.layer.spec.kernel)


@dataclass(frozen=True, slots=True)
class Swap:
    """What another choice in a layer costs: ratios of time and of multiply-adds, medians over pairs of rows."""

    choice: str
    instead_of: str
    pairs: int
    time_ratio: float
    macs_ratio: float


def known_rows(table: Table) -> list[KnownRow]:
    """The rows whose keys are of layers known here."""
    found = []
    for key, time in table.rows.items():
        try:
            spec, batch, _ = parse_row_key(key)
            layer = lower_layer(spec)
        except NotationError:
            continue
        found.append(KnownRow(key, layer, batch * layer.macs, time))
    return found


def family_words(name: str) -> str:
    """A family in the field's terms."""
    return {"mbconv_e1": "dconv", EDGE: "1x1, classifier"}.get(name, name.replace("_", " "))


def group_words(group: tuple[str, int]) -> str:
    name, kernel = group
    words = family_words(name) if name == EDGE else f"{family_words(name)} {kernel}x{kernel}"
    return words.replace(" ", "\u00a0")


def grouped(rows: Sequence[KnownRow]) -> dict[tuple[str, int], list[KnownRow]]:
    found: dict[tuple[str, int], list[KnownRow]] = {}
    for one in sorted(rows, key=lambda one: (one.group[0] == EDGE, *one.group)):
        found.setdefault(one.group, []).append(one)
    return found


def throughput(rows: Sequence[KnownRow]) -> float:
    """Multiply-adds a second, in billions: the median of rows."""
    return float(np.median([one.giga_macs_per_s for one in rows]))


def giga(rate: float) -> str:
    """A throughput with three digits, its unit left to the heading."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:#.3g}".rstrip(".")


def network_shares(table: Table) -> Mapping[tuple[str, int], tuple[float, float]]:
    """Share of each group in the row times and in the multiply-adds of the measured networks, percent.

    Networks that a search chose stand aside, as do those of which a row is missing; empty where none is left.
    """
    ms: dict[tuple[str, int], float] = {}
    macs: dict[tuple[str, int], float] = {}
    for entry in table.networks:
        layers = lower(parse_network(entry.network)).layers
        if entry.role == "front" or table.missing(layers):
            continue
        for layer in layers:
            key = table.row_key(layer)
            group = KnownRow(key, layer, layer.macs, table.rows[key]).group
            ms[group] = ms.get(group, 0.0) + table.rows[key].ms
            macs[group] = macs.get(group, 0.0) + layer.macs
    all_ms, all_macs = sum(ms.values()), sum(macs.values())
    return {group: (100 * ms[group] / all_ms, 100 * macs[group] / max(all_macs, 1)) for group in ms}


def swaps(rows: Sequence[KnownRow]) -> list[Swap]:
    """What choices cost, from pairs of rows that differ in nothing else."""
    by_spec = {one.layer.spec: one for one in rows if one.macs > 0}
    found = []
    for choice, instead_of, is_it, other in _CHOICES:
        ratios = [
            (one.time.ms / without.time.ms, one.macs / without.macs)
            for spec, one in by_spec.items()
            if is_it(spec) and (without := by_spec.get(other(spec))) is not None
        ]
        if len(ratios) >= FEWEST_TO_COMPARE:
            time_ratio, macs_ratio = np.median(np.array(ratios), axis=0)
            found.append(Swap(choice, instead_of, len(ratios), float(time_ratio), float(macs_ratio)))
    return found


_Choice = tuple[str, str, Callable[[LayerSpec], bool], Callable[[LayerSpec], LayerSpec]]
_CHOICES: tuple[_Choice, ...] = (
    (
        "conv 5x5",
        "conv 3x3",
        lambda spec: spec.op == "conv" and spec.kernel == 5,
        lambda spec: replace(spec, kernel=3),
    ),
    (
        "dconv 5x5",
        "dconv 3x3",
        lambda spec: spec.op == "mbconv" and spec.expansion == 1 and spec.kernel == 5,
        lambda spec: replace(spec, kernel=3),
    ),
    (
        "mbconv 5x5",
        "mbconv 3x3",
        lambda spec: spec.op == "mbconv" and spec.expansion > 1 and spec.kernel == 5,
        lambda spec: replace(spec, kernel=3),
    ),
    (
        "mbconv e3",
        "dconv",
        lambda spec: spec.op == "mbconv" and spec.expansion == 3,
        lambda spec: replace(spec, expansion=1),
    ),
    (
        "mbconv e6",
        "mbconv e3",
        lambda spec: spec.op == "mbconv" and spec.expansion == 6,
        lambda spec: replace(spec, expansion=3),
    ),
    ("SE", "no SE", lambda spec: spec.se_ratio > 0, lambda spec: replace(spec, se_ratio=0.0)),
    ("pool skip", "no skip", lambda spec: spec.skip == "pool", lambda spec: replace(spec, skip="")),
    ("identity skip", "no skip", lambda spec: spec.skip == "add", lambda spec: replace(spec, skip="")),
)
