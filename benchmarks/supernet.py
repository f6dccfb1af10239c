"""Judging a network by a supernet against training it alone for one epoch, and networks a minute in two processes."""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from ratio import compare

from mnas_evo.accuracy.contract import Evaluator
from mnas_evo.accuracy.cut_out_speed import STEPS, CutOutSpeed
from mnas_evo.accuracy.evaluating import evaluate_all
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.accuracy.supernet import SupernetAccuracy
from mnas_evo.accuracy.supernet_training import SupernetRequest, train_supernet
from mnas_evo.space.space_file import load_space, space_text
from mnas_evo.training.recipe import load_recipe

NETWORKS = 4
PROCESSES = 2
IN_PROCESSES = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits", help="a data set that fits the space")
    parser.add_argument("--space", default="digits")
    asked = parser.parse_args()
    space = load_space(asked.space)
    networks = space.networks(space.sample(IN_PROCESSES, rng=np.random.default_rng(0)))

    def evaluated(source: Evaluator) -> int:
        for network in networks[:NETWORKS]:
            source.evaluate(network, seed=0)
        return NETWORKS

    with tempfile.TemporaryDirectory() as folder:
        # An evaluation costs the same whatever the weights are.
        few = load_recipe("supernet").model_copy(update={"epochs": 1})
        train_supernet(
            Path(folder),
            SupernetRequest(space_text(asked.space), asked.data, few),
            epoch_done=lambda epoch, total: None,
        )
        supernet = SupernetAccuracy.of(Path(folder))
        alone = ProxyTraining(asked.data, load_recipe("quick").model_copy(update={"epochs": 1}))
        speed = CutOutSpeed.of(Path(folder), steps=STEPS)
        for name, source in (("top-1", supernet), (f"{STEPS} steps", speed)):
            compare(
                f"{name} of a network of {asked.space} on {asked.data}, in a supernet against one epoch alone",
                fast=partial(evaluated, source), slow=lambda: evaluated(alone),
                unit="networks", rounds=5,
            )  # fmt: skip
        ends = [time.perf_counter() for _ in evaluate_all(supernet, networks, seed=0, workers=PROCESSES)]
    late = ends[2 * PROCESSES :]  # the first of each process read the data
    print(f"{PROCESSES} processes: {60 * (len(late) - 1) / (late[-1] - late[0]):,.0f} networks a minute")


if __name__ == "__main__":
    main()
