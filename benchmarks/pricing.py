"""Pricing the paper's space from genes, vectorised, against lowering each network and summing its rows."""

import numpy as np
from ratio import compare

from mnas_evo.space.lowering import lower
from mnas_evo.space.space_file import load_space

VECTORISED = 100_000
ONE_BY_ONE = 300


def main() -> None:
    space = load_space("paper")
    rng = np.random.default_rng(0)
    rows = {layer: rng.random() for layer in space.layers()}
    sums = space.gene_sums(lambda layer: np.array([rows[layer]]))
    genes = space.sample(VECTORISED, rng=rng)

    def vectorised() -> int:
        space.sum_over(genes, sums)
        return len(genes)

    def one_by_one() -> int:
        for row in genes[:ONE_BY_ONE]:
            sum(rows[layer] for layer in lower(space.network(space.decode(row))).layers)
        return ONE_BY_ONE

    compare("sum of rows, genes against objects", fast=vectorised, slow=one_by_one, unit="architectures")


if __name__ == "__main__":
    main()
