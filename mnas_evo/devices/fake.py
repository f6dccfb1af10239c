"""A device that is not there: known true times, noise and faults on request. For tests, and for trying methods out."""

from collections.abc import Callable, Iterator

import numpy as np

from mnas_evo.errors import DeviceError
from mnas_evo.latency.runs import DeviceFacts, Plan, Run


class FakeDevice:
    """Gives every item its true time, times a drift, plus one-sided noise; refuses or dies where told to."""

    def __init__(
        self,
        truth_ms: Callable[[str], float],
        *,
        noise: float = 0.02,
        drift: Callable[[int], float] = lambda visit: 1.0,
        refuses: Callable[[str], bool] = lambda item: False,
        dies_after: int | None = None,
        seed: int = 0,
    ) -> None:
        self._truth_ms = truth_ms
        self._noise = noise
        self._drift = drift
        self._refuses = refuses
        self._dies_after = dies_after
        self._rng = np.random.default_rng(seed)
        self.visits = 0

    def facts(self) -> DeviceFacts:
        """Facts of a device that nobody can mistake for a real one."""
        return DeviceFacts(
            name="fake", soc="fake", os="none", runtime="fake", runtime_version="1", threads=1, precision="fp32"
        )

    def run(self, plan: Plan) -> Iterator[Run]:
        """Runs a plan in no time."""
        for visit in plan.visits:
            if self._dies_after is not None and self.visits >= self._dies_after:
                raise DeviceError("the fake device was told to die here")
            self.visits += 1
            if self._refuses(visit.item):
                yield Run(visit.slot, visit.item, (), 0, {}, refusal="the fake device was told to refuse")
                continue
            true_ns = 1e6 * self._truth_ms(visit.item) * self._drift(self.visits)
            factors = 1 + self._noise * self._rng.exponential(size=max(plan.min_repeats, 20))
            times = tuple(int(t) for t in true_ns * factors)
            yield Run(visit.slot, visit.item, times, sum(times), {"load": 0.0})

    def close(self) -> None:
        """Nothing to let go of."""
