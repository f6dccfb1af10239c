"""How far latency predictions are off on the networks that a search finds, before and after they are fitted on.

    python benchmarks/front.py --data PATH --table DIR --out DIR [--top 36] [--minutes 5]

Searches the space with the predictor of a table of this machine (a copy of it: DIR stays), measures `--top` networks of
the front, fits the predictor again with them, searches anew with that, and measures what this finds, which no fit has
seen. Stopped, it goes on where it was.

Accuracies are stand-ins, and no figure is about them: PATH is a folder with accel-nasbench-half.csv, and a ridge on
logarithms of its networks' sums over layers says what each network of the space would have. That is enough for a front
to lie where one lies; only latency is judged.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import accel_nasbench
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnas_evo.devices.target import opened, parse_target
from mnas_evo.errors import RequestError
from mnas_evo.files import read_csv, write_csv
from mnas_evo.finalists.refitting import refit
from mnas_evo.finalists.remeasure import remeasure
from mnas_evo.finalists.verdicts import RemeasuredForm, summarised
from mnas_evo.latency.features import statistics
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.predictor import load_predictor
from mnas_evo.latency.scoring import rank_correlations
from mnas_evo.latency.table import find_table, read_table
from mnas_evo.search.run import SearchRequest, search
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network
from mnas_evo.space.sampling import sample_by_macs
from mnas_evo.space.space_file import load_space

SUMS = ("macs", "weights", "vector_weights", "traffic", "layers", "se_layers")
SHRUNK = (1, 2, 4, 8, 16)  # multiply-adds by how much smaller than the input the image is
WANTED_BIAS_PERCENT = 3.0

Matrix = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", required=True, help="a profile of the target, with its fit or to be fitted")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--space", default="paper", help="the space that the table is of")
    parser.add_argument("--target", default="local")
    parser.add_argument("--top", type=int, default=36)
    parser.add_argument("--minutes", type=float, default=5.0, help="time on the device, for each of the two fronts")
    parser.add_argument("--target-ms", type=float, help="a budget, on both sides of which is measured")
    parser.add_argument("--networks", type=int, default=2_000, help="with a stand-in accuracy")
    parser.add_argument("--evaluations", type=int, default=2_000)
    parser.add_argument("--algorithm", default="nsga2:population=50")
    asked = parser.parse_args()
    top1 = asked.out / "top1.csv"
    if not top1.exists():
        write_stand_ins(asked.data / "accel-nasbench-half.csv", top1, asked.space, asked.networks)
    first = copy_table(find_table(asked.table), asked.out / "table-as-profiled")
    run = find_front(asked, first, "run", seed=0)
    say("front", measure(asked, run), seen=read_names(first))
    refitted = asked.out / "table-refitted"
    for line in refit(run, into=refitted).in_words():
        print(line)
    fresh = find_front(asked, refitted, "run-refitted", seed=1)
    say("front of the refitted predictor", measure(asked, fresh), seen=read_names(refitted))


def write_stand_ins(source: Path, path: Path, space_name: str, count: int) -> None:
    """A CSV of networks of a space, spread over multiply-adds, and what the ridge says of each."""
    space, published = load_space(space_name), load_space(accel_nasbench.SPACE)
    rows = [row for _, row in read_csv(source, ("val_top1",))]
    vectors = sums([published.network(accel_nasbench.architecture(row)) for row in rows])
    top1 = np.array([float(row["val_top1"]) for row in rows])
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    kendall, _ = rank_correlations(cross_val_predict(model, vectors, top1, cv=5), top1)
    networks = space.networks(sample_by_macs(space, count, rng=np.random.default_rng(0)))
    said = model.fit(vectors, top1).predict(sums(networks))
    # Far from the published networks a line leads anywhere; ranks are kept, and so is a percentage.
    said = 100 / (1 + np.exp(-4 * (said - 50) / 100))
    lines = {format_network(network): f"{value:.4f}" for network, value in zip(networks, said, strict=True)}
    write_csv(path, ("architecture", "top1"), sorted(lines.items()))
    print(f"stand-in accuracies of {len(lines)} networks; Kendall on published ones held back {kendall:.2f}")


def sums(networks: Sequence[Network]) -> Matrix:
    """Logarithms of sums over each network's layers, and of its multiply-adds by size of image: (n, k)."""
    found = []
    for network in networks:
        whole = dict.fromkeys(SUMS, 0.0)
        by_size = dict.fromkeys(SHRUNK, 0.0)
        for layer in lower(network).layers:
            for name, value in statistics(layer).items():
                if name in whole:
                    whole[name] += value
            shrunk = network.frame.height // layer.in_shape[1]
            by_size[max(one for one in SHRUNK if one <= max(shrunk, 1))] += layer.macs
        found.append([*whole.values(), *by_size.values()])
    logarithms: Matrix = np.log1p(np.array(found))
    return logarithms


def copy_table(source: Path, to: Path) -> Path:
    """A copy without raw runs, fitted where the table is not."""
    if not (to / "device.json").exists():
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("raw", "truth", ".lock"), dirs_exist_ok=True)
    try:
        load_predictor(to)
    except RequestError:
        fit(to)
    return to


def find_front(asked: argparse.Namespace, table: Path, name: str, *, seed: int) -> Path:
    """A search's folder."""
    request = SearchRequest(
        asked.space,
        (str(table),),
        f"surrogate:{asked.out / 'top1.csv'}",
        algorithm=asked.algorithm,
        evaluations=asked.evaluations,
        seed=seed,
    )
    out: Path = asked.out / name
    search(out, request, progress=lambda done, note: None)
    return out


def measure(asked: argparse.Namespace, run: Path) -> RemeasuredForm:
    """The finalists of a run on the device."""
    with opened(parse_target(asked.target), say=print) as device:
        return remeasure(
            run,
            device,
            top=asked.top,
            minutes=asked.minutes,
            progress=lambda share, note: None,
            target_ms=asked.target_ms,
        )


def read_names(table: Path) -> set[str]:
    """The networks that a table's predictor was fitted on."""
    return {entry.network for entry in read_table(table).networks}


def say(what: str, found: RemeasuredForm, *, seen: set[str]) -> None:
    """Figures of a front: all, those that no fit saw, and whether the bias is within what is wanted."""
    print(f"{what}: {found.in_words()}")
    new = [one for one in found.verdicts if one.network not in seen]
    if 0 < len(new) < len(found.verdicts):
        level = found.found.level
        settled = [one.measured_ms / one.predicted_ms / level - 1 for one in new]
        fresh = summarised(new, noise_percent=found.found.noise_percent)
        print(
            f"  {len(new)} of them stand in no fit: off by {fresh.error_percent:.2f} % with a bias of "
            f"{fresh.bias_percent:+.2f} %; the device's shift taken out {100 * np.mean(np.abs(settled)):.2f} % and "
            f"{100 * np.mean(settled):+.2f} %"
        )
    for one in found.outside:
        low, high = one.low_ms or 0.0, one.high_ms or np.inf
        print(f"  {one.interval} {low:.4g} to {high:.4g} ms: measured {one.measured_ms:.4g}, {one.off_percent:+.1f} %")
    for line in found.limit_words():
        print(f"  {line}")
    bias, shift_noise = found.found.settled_bias_percent, found.found.shift_noise_percent
    own = np.std([one.off_percent for one in found.verdicts]) / len(found.verdicts) ** 0.5
    verdict = "within" if abs(bias) <= WANTED_BIAS_PERCENT else "beyond"
    print(
        f"  bias {bias:+.2f} % (standard error {np.hypot(own, shift_noise):.2f}) without the device's shift: {verdict} "
        f"{WANTED_BIAS_PERCENT:g} %"
    )


if __name__ == "__main__":
    main()
