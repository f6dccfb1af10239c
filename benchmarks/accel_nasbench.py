"""How well the predictor prices networks of Accel-NASBench, which nobody here measured, fitted on few of them.

    python benchmarks/accel_nasbench.py --data PATH --out DIR            converts: DIR/zcu102.csv, a100.csv, top1.csv
    python benchmarks/accel_nasbench.py --data PATH --out DIR --score    also scores both, at every size
    python benchmarks/accel_nasbench.py --data PATH --out DIR --coverage 50    also that many splits of each

PATH is a folder with accel-nasbench-half.csv: latency of ZCU102, ms, and throughput of A100, images/s, whose inverse
is taken as ms an image. Its blocks have outputs 16 to 320 and identity skips; squeeze and excitation has ratio .25.
"""

import argparse
from pathlib import Path

import numpy as np

from mnas_evo.files import read_csv, write_csv
from mnas_evo.latency.judging import METHODS, Score, score
from mnas_evo.latency.measured_networks import read_measured_csv
from mnas_evo.space.architecture import Architecture, Block
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import SearchSpace
from mnas_evo.space.space_file import load_space

SPACE = "mbconv-e146"
CHANNELS = (16, 24, 40, 80, 112, 192, 320)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
TIMES = {"zcu102": "latency_zcu102", "a100": "throughput_a100"}
SIZES = (50, 100, 200, 900)
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--score", action="store_true")
    parser.add_argument("--coverage", type=int, default=0, metavar="SPLITS")
    asked = parser.parse_args()
    space = load_space(SPACE)
    for device, path in convert(asked.data / "accel-nasbench-half.csv", asked.out, space).items():
        networks = read_measured_csv(path, task=space.frame)
        print(f"{device}: {len(networks)} networks in {path}")
        for size in SIZES if asked.score else ():
            found = [score(networks, space=space, train=size, seed=seed) for seed in range(SEEDS)]
            print(f"{size:5} networks: {in_words(found)}")
        for size in SIZES if asked.coverage else ():
            covered = [score(networks, space=space, train=size, seed=seed) for seed in range(asked.coverage)]
            percent = [one.coverage_percent for one in covered]
            print(f"{size:5} networks: 90 % intervals cover {np.mean(percent):.1f} % (mean of {len(percent)} splits)")


def convert(source: Path, out: Path, space: SearchSpace) -> dict[str, Path]:
    """Writes a CSV of networks and ms for each device, where those without a time are left out, and one of top-1."""
    found: dict[str, list[tuple[str, str]]] = {device: [] for device in TIMES}
    rows = [row for _, row in read_csv(source, ("val_top1", *TIMES.values()))]
    for row in rows:
        network = format_network(space.network(architecture(row)))
        for device, column in TIMES.items():
            if row[column]:
                value = float(row[column])
                found[device].append((network, f"{value if device == 'zcu102' else 1000 / value:.8g}"))
    trained = [(format_network(space.network(architecture(row))), row["val_top1"]) for row in rows]
    write_csv(out / "top1.csv", ("architecture", "top1"), trained)
    paths = {device: out / f"{device}.csv" for device in TIMES}
    for device, path in paths.items():
        write_csv(path, ("network", "ms"), found[device])
    return paths


def architecture(row: dict[str, str]) -> Architecture:
    """The architecture of a line: e expansion, k kernel, l layers, se whether it squeezes and excites."""
    blocks, in_channels = [], 32
    for i, (channels, stride) in enumerate(zip(CHANNELS, STRIDES, strict=True)):
        expansion, kernel, layers, squeezes = (int(row[f"block{i}_{name}"]) for name in ("e", "k", "l", "se"))
        ratio = 0.25 if squeezes else 0.0
        blocks.append(Block("mbconv", kernel, expansion, ratio, "identity", in_channels, channels, stride, layers))
        in_channels = channels
    return Architecture(tuple(blocks))


def in_words(found: list[Score]) -> str:
    """Share within 5 % by each method, mean over the splits, and each split's of the one used."""
    shares = {name: np.mean([one.methods[name].whole.w5 for one in found]) for name in METHODS}
    by_method = ", ".join(f"{name} {share:.1f}" for name, share in shares.items())
    used = ", ".join(f"{one.methods[one.chosen].whole.w5:.1f}" for one in found)
    error = np.mean([one.methods[one.chosen].whole.mape for one in found])
    covered = np.mean([one.coverage_percent for one in found])
    return f"within 5 %: {by_method} (used: {used}); error {error:.2f} %, intervals cover {covered:.1f} %"


if __name__ == "__main__":
    main()
