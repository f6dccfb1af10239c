"""The law of the learning curve: more measured networks never make the model worse, on devices of every kind.

The model is the one that a fit chooses, correction and all; it is judged by the true times of networks it never saw.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from support.known_times import DEVICES, SMALL, SyntheticDevice, measured_design, measured_ms

from mnas_evo.latency.model import fit_model
from mnas_evo.latency.predictor import SpacePredictor
from mnas_evo.space.lowering import lower

SIZES = (15, 40, 120)
SEEDS = 3
GENES = SMALL.sample(300, rng=np.random.default_rng([9, 9]))
GRAPHS = [lower(network) for network in SMALL.networks(GENES)]

# MAPE in percent of the model of most networks, with rows and without: a quarter above what was found, so that the law
# is not kept by a model that learns nothing. The cache's steps are the devices' whole error.
REACHED = {
    "additive": (0.15, 3.6),
    "overhead": (0.25, 1.8),
    "weights": (6.0, 6.0),
    "activations": (6.5, 7.0),
    "heavy": (0.5, 1.8),
    "disturbed": (0.35, 1.9),
}


@cache
def errors(device: SyntheticDevice, *, rows: bool) -> np.ndarray:
    """MAPE of the models of 15, 40 and 120 networks, the smaller sets within the larger: (seeds, sizes), percent."""
    truth = device.networks_ms(GRAPHS)
    found = np.empty((SEEDS, len(SIZES)))
    for seed in range(SEEDS):
        table = device.table(SMALL, networks=SIZES[-1], rows=rows, seed=seed)
        for column, size in enumerate(SIZES):
            few = replace(table, networks=table.networks[:size])
            model, _ = fit_model(measured_design(few), measured_ms(few), seed=seed)
            value = SpacePredictor(model, SMALL).value(GENES)
            found[seed, column] = 100 * np.mean(np.abs(value / truth - 1))
    return found


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "no rows"])
@pytest.mark.parametrize("device", DEVICES, ids=[device.name for device in DEVICES])
def test_more_networks_never_make_it_worse(device: SyntheticDevice, rows: bool) -> None:
    found = errors(device, rows=rows)
    steps = np.diff(found, axis=1)
    # Beyond noise: the means of three seeds are known to their standard error, and hardly to a twentieth of a point.
    noise = np.std(steps, axis=0, ddof=1) / np.sqrt(SEEDS) + 0.05
    assert (steps.mean(axis=0) < noise).all(), found.mean(axis=0)
    assert found.mean(axis=0)[-1] < REACHED[device.name][not rows]


@pytest.mark.parametrize("device", DEVICES, ids=[device.name for device in DEVICES])
def test_true_rows_are_worth_more_than_none_where_times_are_sums(device: SyntheticDevice) -> None:
    with_rows, without = (errors(device, rows=rows).mean(axis=0)[-1] for rows in (True, False))
    sums = device.factor(GRAPHS[0]) == 1 and device.factor(max(GRAPHS, key=lambda graph: graph.params)) == 1
    assert with_rows < (without / 3 if sums else 1.1 * without)
