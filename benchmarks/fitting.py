"""Fitting a predictor on 300 networks of the paper's space: models of 20 folds from one inverse, against each anew."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from pricing import NETWORKS, InventedRows
from ratio import compare

from mnas_evo.latency.additive import choose_variances, design_of, fit_additive, fit_without, trusted
from mnas_evo.latency.features import features_of
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.model import FOLDS
from mnas_evo.latency.table import Measured, MeasuredNetwork, Table, read_table, write_table
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network
from mnas_evo.space.space_file import load_space

DEVICE = "amd-epyc-onnxruntime"  # whose facts the invented table bears


def main() -> None:
    space, rows, rng = load_space("paper"), InventedRows(), np.random.default_rng(0)
    networks = space.networks(space.sample(NETWORKS, rng=rng))
    graphs = [lower(network) for network in networks]
    design = design_of(graphs, features_of(graphs, rows))
    ms = design.vectors[:, 0] * (0.9 + 0.05 * rng.random(NETWORKS))
    variances = choose_variances(design, ms, rng=rng)
    trust = trusted(design, ms, variances=variances)
    parts = design.folds(FOLDS, seed=0)

    def at_once() -> int:
        fit_without(design, ms, variances=variances, trust=trust, folds=[fold for _, fold in parts])
        return FOLDS

    def one_by_one() -> int:
        for rest, _ in parts:
            fit_additive(design.take(rest), ms[rest], variances=variances, trust=trust[rest])
        return FOLDS

    compare("models of folds, one inverse against fits", fast=at_once, slow=one_by_one, unit="folds")
    with tempfile.TemporaryDirectory() as scratch:
        facts = read_table(Path("latency_tables") / DEVICE)
        measured = {facts.row_key(layer): Measured(rows.times_ms(layer)[0], 0.0, 1) for layer in space.layers()}
        entries = (
            MeasuredNetwork(format_network(network), "sampled", Measured(float(one), 0.0, 1))
            for network, one in zip(networks, ms, strict=True)
        )
        table: Table = replace(facts, folder=Path(scratch), rows=measured, networks=tuple(entries))
        write_table(Path(scratch), table)
        began = time.perf_counter()
        fit(Path(scratch))
        print(
            f"a whole fit of {NETWORKS} networks and {len(measured):,} rows, with all figures and the learning curve: "
            f"{time.perf_counter() - began:.1f} s on one core"
        )


if __name__ == "__main__":
    main()
