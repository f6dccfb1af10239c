"""How well a table's predictor prices networks that no fit has seen, measured in a second campaign; and its intervals.

    python benchmarks/unseen.py TARGET --table DIR [--networks 80] [--minutes 3]    measures and judges; again: judges
    python benchmarks/unseen.py --table DIR --splits 50                             coverage over random splits

The truth's campaign lies in DIR/truth. The machine may be slower or faster than it was for the table, all networks
alike. So the campaign also measures some of the table's networks again, and figures are told once more with what those
and what the reference network moved by taken out.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from mnas_evo.devices.campaign import REFERENCE, Campaign, Item
from mnas_evo.devices.target import opened, parse_target
from mnas_evo.latency.additive import Design, design_of
from mnas_evo.latency.combine import combine, reference_level, reference_series
from mnas_evo.latency.features import features_of
from mnas_evo.latency.fitting import own_rows
from mnas_evo.latency.judging import METHODS, chosen, judge
from mnas_evo.latency.model import fit_model
from mnas_evo.latency.runs import RunLog
from mnas_evo.latency.scoring import coverage_percent, quality
from mnas_evo.latency.table import MeasuredNetwork, Table, read_table
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space_file import load_space

HELD_BACK = 0.2
AGAIN = 30  # of the table's networks, to see what the machine moved by


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?")
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--networks", type=int, default=80)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--splits", type=int, default=0)
    asked = parser.parse_args()
    table = read_table(asked.table)
    if not asked.splits and not (asked.target or (table.folder / "truth" / "runs.jsonl").exists()):
        parser.error("give a TARGET: the second campaign was not measured yet")
    if asked.splits:
        say_coverage(table, asked.splits)
    else:
        networks = unseen(table, asked.networks)
        measure(table, asked.target, networks, minutes=asked.minutes)
        say_quality(table, networks)


def unseen(table: Table, n: int) -> list[Network]:
    """Networks of the table's space, drawn uniformly, that it does not hold."""
    space = load_space(str(table.campaigns[-1].space))
    sampled = next(entry for entry in table.networks if entry.role == "sampled")
    space = replace(space, frame=parse_network(sampled.network).frame)
    known = {entry.network for entry in table.networks}
    found = space.networks(space.sample(2 * n, rng=np.random.default_rng(4321)))
    return list({name: one for one in found if (name := format_network(one)) not in known}.values())[:n]


def again(table: Table) -> list[MeasuredNetwork]:
    """Sampled networks of the table, spread over its times."""
    sampled = sorted((one for one in table.networks if one.role == "sampled"), key=lambda one: one.time.ms)
    return [sampled[i] for i in np.unique(np.linspace(0, len(sampled) - 1, AGAIN).astype(int))]


def measure(table: Table, target: str | None, networks: list[Network], *, minutes: float) -> None:
    """The second campaign; done before, it is not done again."""
    if (table.folder / "truth" / "runs.jsonl").exists() or target is None:
        return
    task = networks[0].frame
    reference = (REFERENCE, lower(named_network("mobilenet-v2", task=task)))
    with opened(parse_target(target), say=print) as device:
        both = [*networks, *(parse_network(entry.network) for entry in again(table))]
        items = [Item(format_network(network), "network", lower(network)) for network in both]
        campaign = Campaign(table.folder / "truth", device, items, reference=reference)
        campaign.measure(minutes=minutes, fewest_passes=8, progress=lambda share, text: None)


def say_quality(table: Table, networks: list[Network]) -> None:
    """Every method on the unseen networks, beside the noise of their times."""
    runs = RunLog(table.folder / "truth" / "runs.jsonl").read()
    names = [*map(format_network, networks), *(entry.network for entry in again(table))]
    truth = combine(runs, names, reference=REFERENCE)
    truth_ms, known_ms = np.split(truth.ms, [len(networks)])
    level = reference_level(reference_series(runs, reference=REFERENCE))
    reference_moved = level / table.campaigns[-1].reference_ms
    known_moved = float(np.median(known_ms / [entry.time.ms for entry in again(table)]))
    train, test, ms = designs(table, networks)
    found = judge(train, ms, test, seed=0)
    within = 1.5 * truth.noise_percent + 0.5
    print(
        f"{table.name}: {int((~train.anchors).sum())} networks fitted on, {len(networks)} unseen, whose times "
        f"have a noise of {truth.noise_percent:.2f} %: wanted {within:.2f} %. "
        f"Known networks moved by {100 * (known_moved - 1):+.1f} %, "
        f"the reference by {100 * (reference_moved - 1):+.1f} %"
    )
    for name in METHODS:
        shifts = (1.0, known_moved, reference_moved)
        as_is, known_out, level_out = (quality(found.by_method[name] * shift, truth_ms) for shift in shifts)
        used = ", used" if name == chosen(found.reasons) else ""
        print(
            f"  {name:10} {as_is.mape:6.2f} %, within 5 % {as_is.w5:.0f}; known networks' shift taken out "
            f"{known_out.mape:.2f} %, within 1 % {known_out.w1:.0f}, 5 % {known_out.w5:.0f}; the reference's "
            f"{level_out.mape:.2f} %{used}"
        )
    covered = coverage_percent(found.said.low, found.said.high, truth_ms)
    print(f"  90 % intervals cover {covered:.0f} % of them")


def designs(table: Table, networks: list[Network]) -> tuple[Design, Design, np.ndarray]:
    """What the table's predictor is fitted on, the networks to be priced, and the times of the first, ms."""
    entries: list[MeasuredNetwork] = list(table.networks)
    rows, _, _ = own_rows(table, [entry for entry in entries if entry.role == "sampled"])
    graphs = [lower(parse_network(entry.network)) for entry in entries] + [lower(network) for network in networks]
    anchors = [entry.role != "sampled" for entry in entries] + [False] * len(networks)
    both = design_of(graphs, features_of(graphs[: len(entries)], rows), anchors=anchors)
    train, test = (both.take(np.arange(*span)) for span in ((0, len(entries)), (len(entries), len(graphs))))
    return train, test, np.array([entry.time.ms for entry in entries])


def say_coverage(table: Table, splits: int) -> None:
    """Coverage of a fifth of the sampled networks by fits on the others, over random splits."""
    design, _, ms = designs(table, [])
    sampled, anchors = np.flatnonzero(~design.anchors), np.flatnonzero(design.anchors)
    found = []
    for seed in range(splits):
        held, *rest = np.split(np.random.default_rng(seed).permutation(sampled), [int(HELD_BACK * len(sampled))])
        fitted = np.concatenate([*rest, anchors])
        model, _ = fit_model(design.take(fitted), ms[fitted], seed=seed)
        said = model.predict(model.of_design(design.take(held)))
        found.append(coverage_percent(said.low, said.high, ms[held]))
    print(f"{table.name}: 90 % intervals cover {np.mean(found):.1f} % (mean of {splits} splits)")


if __name__ == "__main__":
    main()
