"""How many measurements lie in the intervals of models that did not see them, on devices whose true times are known."""

from dataclasses import replace

import numpy as np
from support.known_times import (
    SMALL,
    SyntheticDevice,
    disturbed,
    heavy,
    measured_design,
    measured_ms,
    weights_spill,
)

from mnas_evo.latency.model import fit_model

USUAL = SyntheticDevice("usual", overhead_ms=0.5)
KINDS = {
    "sums": USUAL,
    "cache": replace(USUAL, factor=weights_spill),
    "heavy": replace(USUAL, noise=heavy),
    "disturbed": replace(USUAL, noise=disturbed),
}


def covered_percent(device: SyntheticDevice, *, rows: bool, splits: int, fitted: int, seed: int = 0) -> float:
    """Share of measurements inside intervals of models that did not see them, over random splits of 200 networks."""
    table = device.table(SMALL, networks=200, rows=rows, seed=seed)
    design, ms = measured_design(table), measured_ms(table)
    inside = []
    for split in range(seed, seed + splits):
        order = np.random.default_rng(split).permutation(200)
        train, test = order[:fitted], order[fitted:]
        model, _ = fit_model(design.take(train), ms[train], seed=split)
        found = model.predict(model.of_design(design.take(test)))
        assert ((found.low > 0) & (found.low <= found.value) & (found.value <= found.high)).all()
        inside.append(np.mean((found.low <= ms[test]) & (ms[test] <= found.high)))
    return 100 * float(np.mean(inside))
