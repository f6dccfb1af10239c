"""Whether networks chosen to tell most teach a predictor more than random ones, or ones spread evenly over their sums.

    python benchmarks/choosing.py --data PATH          networks of Accel-NASBench (accel-nasbench-half.csv), no rows
    python benchmarks/choosing.py --table DIR          the sampled networks of a table, with its rows; many are needed

Each way takes some of a random half (at most 1,000); errors are those on the other networks, means over eight halves.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from accel_nasbench import SPACE, convert

from mnas_evo.latency.additive import Design, design_of
from mnas_evo.latency.choosing import most_telling
from mnas_evo.latency.features import features_of
from mnas_evo.latency.fitting import own_rows
from mnas_evo.latency.measured_networks import read_measured_csv
from mnas_evo.latency.model import fit_model
from mnas_evo.latency.scoring import quality
from mnas_evo.latency.table import read_table
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.space.sampling import spread_evenly
from mnas_evo.space.space_file import load_space

SIZES = (25, 50, 100, 200)
SEEDS = 8
MOST = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--table", type=Path, action="append", default=[])
    asked = parser.parse_args()
    if asked.data:
        space = load_space(SPACE)
        with tempfile.TemporaryDirectory() as scratch:
            for device, path in convert(asked.data / "accel-nasbench-half.csv", Path(scratch), space).items():
                measured = read_measured_csv(path, task=space.frame)
                graphs = [lower(parse_network(entry.network)) for entry in measured]
                design = design_of(graphs, features_of(graphs, None))
                macs = np.array([float(graph.macs) for graph in graphs])
                compare(device, design, np.array([entry.time.ms for entry in measured]), macs + 0.3 * macs.mean())
    for folder in asked.table:
        table = read_table(folder)
        sampled = [entry for entry in table.networks if entry.role == "sampled"]
        entries = [*sampled, *(entry for entry in table.networks if entry.role != "sampled")]
        graphs = [lower(parse_network(entry.network)) for entry in entries]
        rows, _, _ = own_rows(table, sampled)
        anchors = [entry.role != "sampled" for entry in entries]
        design = design_of(graphs, features_of(graphs, rows), anchors=anchors)
        compare(table.name, design, np.array([entry.time.ms for entry in entries]), design.vectors[:, 0])


def compare(name: str, design: Design, ms: np.ndarray, rough_ms: np.ndarray) -> None:
    """Error and share within 5 % by each way of choosing; `rough_ms` is all that it knows of the times."""
    free, anchors = np.flatnonzero(~design.anchors), np.flatnonzero(design.anchors)
    for size in SIZES:
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in range(SEEDS):
            shuffled = np.random.default_rng(seed).permutation(free)
            half = min(len(shuffled) // 2, MOST)
            pool, test = shuffled[:half], shuffled[half:]
            if size >= half:
                continue
            both = np.concatenate([pool, anchors])
            ways = {
                "random": pool[:size],
                "even": pool[spread_evenly(rough_ms[pool], size)],
                "telling": both[most_telling(design.take(both), rough_ms[both], size)],
            }
            for way, chosen in ways.items():
                fitted = np.concatenate([chosen, anchors])
                model, _ = fit_model(design.take(fitted), ms[fitted], seed=seed)
                said = quality(model.ms(model.of_design(design.take(test))), ms[test])
                found.setdefault(way, []).append((said.mape, said.w5))
        means = {way: np.mean(figures, axis=0) for way, figures in found.items()}
        print(
            f"{name}, {size} networks: "
            + "; ".join(f"{way} {mape:.2f} %, within 5 % {w5:.1f} %" for way, (mape, w5) in means.items())
        )


if __name__ == "__main__":
    main()
