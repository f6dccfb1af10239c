"""The predictor on networks that nobody here measured, with no rows: within 5 % from few networks."""

import sys
from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data

from mnas_evo.latency.judging import score
from mnas_evo.latency.measured_networks import read_measured_csv
from mnas_evo.space.space_file import load_space

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

WANTED = {50: (78, 98), 100: (90, 99.5), 200: (99.5, 99.5), 900: (99.8, 99.7)}  # % within 5 %: ZCU102, A100


@pytest.mark.slow
def test_networks_of_others_are_priced_within_five_percent(tmp_path: Path) -> None:
    from accel_nasbench import SPACE, convert

    space = load_space(SPACE)
    paths = convert(real_data("accel-nasbench-half.csv"), tmp_path, space)
    for device, (name, path) in enumerate(paths.items()):
        networks = read_measured_csv(path, task=space.frame)
        for size, wanted in WANTED.items():
            found = [score(networks, space=space, train=size, seed=seed) for seed in range(3)]
            w5 = {name: np.mean([one.methods[name].whole.w5 for one in found]) for name in found[0].methods}
            used = np.mean([one.methods[one.chosen].whole.w5 for one in found])
            assert used >= wanted[device], (name, size, w5)
            assert w5["combined"] >= max(w5["calibrated"], w5["lightgbm"]) - 1, (name, size, w5)
