"""What a first look at every row tells: what a campaign will cost, which rows the time allows for, what to sample."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mnas_evo.devices.campaign import FEWEST_PASSES, REFERENCE_EVERY, VISIT_NS
from mnas_evo.latency.additive import design_of
from mnas_evo.latency.choosing import most_telling
from mnas_evo.latency.features import features_of
from mnas_evo.latency.runs import DeviceFacts, Plan
from mnas_evo.latency.table import Measured, row_key
from mnas_evo.space.architecture import Network
from mnas_evo.space.graph import Layer
from mnas_evo.space.lowering import lower
from mnas_evo.space.sampling import spread_evenly
from mnas_evo.space.space import Genes, SearchSpace, distinct_rows

_CANDIDATES = 20_000
_FEWEST_TO_CHOOSE_FROM = 1000
_MOST_TO_CHOOSE_FROM = 2000  # what choosing costs grows with the square
_AROUND_THE_CALL = 1.05  # the wire and the host, over the time inside the runtime's call


@dataclass(frozen=True)
class Survey:
    """A space whose rows were each visited once on a device; a row that was refused counts as no time, here only.

    `overhead_seconds` is what a visit took beside the runtime's call, in the median: above all, loading the model.
    """

    space: SearchSpace
    rows: Mapping[str, Measured]
    facts: DeviceFacts
    seed: int
    overhead_seconds: float = 0.0

    def row_ms(self, layer: Layer) -> float:
        """A row's time at first sight."""
        found = self.rows.get(row_key(layer, device=self.facts))
        return found.ms if found is not None else 0.0

    def pass_seconds(self, layers: Sequence[Layer], *, networks: int) -> float:
        """About how long a pass over rows and whole networks will take."""
        typical_ms = float(np.median(self._sums))
        rows = math.fsum(self._row_seconds(layer) for layer in layers)  # exact, in whatever order they come
        return rows + networks * self._visit_seconds("network", typical_ms)

    def affordable(
        self, layers: Sequence[Layer], *, needed: set[Layer], networks: int, pass_seconds: float
    ) -> list[Layer]:
        """The layers that a pass of so many seconds allows for: those needed, then those used most; in their order."""
        ordered = sorted(layers, key=lambda layer: (layer not in needed, -self.uses.get(layer, 0)))
        spent = self.pass_seconds((), networks=networks) + np.cumsum([self._row_seconds(layer) for layer in ordered])
        count = max(len(needed.intersection(layers)), int(np.searchsorted(spent, pass_seconds)))
        kept = set(ordered[:count])
        return [layer for layer in layers if layer in kept]

    def rows_of_networks(self, n: int, *, needed: set[Layer], networks: int, pass_seconds: float) -> set[Layer]:
        """Rows, beside those needed, of as many of n evenly spread networks as a pass of so many seconds allows for.

        Rows that are used most complete few networks, and a predictor is fitted on whole ones: on the paper's space the
        405 rows that half of the time buys cover none of 20,000.
        """
        found: set[Layer] = set()
        left = pass_seconds - self.pass_seconds(list(needed), networks=networks)
        candidates = self.spread(n, layers=self.space.layers())
        for i in np.random.default_rng([self.seed, 3]).permutation(len(candidates)):
            new = set(lower(candidates[i]).layers) - needed - found
            seconds = math.fsum(self._row_seconds(layer) for layer in new)
            if seconds <= left:
                found |= new
                left -= seconds
        return found

    @cached_property
    def uses(self) -> dict[Layer, int]:
        """How often sampled architectures contain each layer of the space."""
        indices = self.space.layer_indices(self._candidates)
        counts = np.bincount(indices[indices >= 0], minlength=len(self.space.layers()))
        return dict(zip(self.space.layers(), counts.tolist(), strict=True))

    def spread(self, n: int, *, layers: Sequence[Layer]) -> list[Network]:
        """Networks that these layers cover, spread evenly over the sum of their rows; fewer where so many are none."""
        known = set(layers)
        covered = np.array([layer in known for layer in self.space.layers()] + [True])  # the last stands for no layer
        among = np.flatnonzero(covered[self.space.layer_indices(self._candidates)].all(axis=1))
        if len(among) == 0:
            return []
        return self.space.networks(self._candidates[among[spread_evenly(self._sums[among], n)]])

    def telling(self, n: int, *, layers: Sequence[Layer], beside: Sequence[Network]) -> list[Network]:
        """Networks that these layers cover, which narrow a predictor most beside others that are measured anyway.

        They are chosen from many that are spread evenly over the sum of their rows; fewer where so many are none.
        """
        networks = self.spread(min(max(n, _MOST_TO_CHOOSE_FROM), max(_FEWEST_TO_CHOOSE_FROM, 2 * n)), layers=layers)
        if len(networks) <= n:
            return networks
        seen = [network for network in beside if any(map(self.row_ms, lower(network).layers))]
        graphs = [lower(network) for network in (*networks, *seen)]
        anchors = [False] * len(networks) + [True] * len(seen)
        design = design_of(graphs, features_of(graphs, _Sighted(self)), anchors=anchors)
        rough_ms = design.vectors[:, 0]  # the sum of rows
        # A campaign is known by its networks, and more threads round differently.
        with threadpool_limits(1):
            return [networks[i] for i in sorted(most_telling(design, rough_ms, n))]

    @property
    def known_architectures(self) -> int:
        """How many different architectures there are to sample from."""
        return len(self._candidates)

    @cached_property
    def _candidates(self) -> Genes:
        genes = self.space.sample(_CANDIDATES, rng=np.random.default_rng([self.seed, 1]))
        return genes[list(distinct_rows(genes))]

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        sums = self.space.gene_sums(lambda layer: np.array([self.row_ms(layer)]))
        return self.space.sum_over(self._candidates, sums)[:, 0]

    def _row_seconds(self, layer: Layer) -> float:
        return self._visit_seconds("row", self.row_ms(layer))

    def _visit_seconds(self, kind: str, ms: float) -> float:
        """What a visit takes, with the reference's share; an agent that keeps its models loads each one once only."""
        inside = max(VISIT_NS[kind] / 1e9, Plan.MIN_REPEATS * ms / 1e3)
        loading = self.overhead_seconds / (FEWEST_PASSES if self.facts.keeps_models else 1)
        return inside * _AROUND_THE_CALL + loading + VISIT_NS["network"] / 1e9 / REFERENCE_EVERY


@dataclass(frozen=True)
class _Sighted:
    """The survey's rows as a predictor's."""

    survey: Survey

    @property
    def sources(self) -> tuple[str, ...]:
        return ("rows",)

    def times_ms(self, layer: Layer) -> tuple[float, ...]:
        return (self.survey.row_ms(layer),)
