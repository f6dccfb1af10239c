"""Coverage of latency intervals on every kind of device, by the number of networks and with and without rows.

CI checks four cases on one table. Tables differ, so 20 of them count together here. The bounds are those of CI: of 30
networks, models that saw 28 of them are so much worse that intervals cover up to 96 %; of 100 networks, up to 94 %.
"""

from functools import partial
from itertools import product

import numpy as np
from evidence.part import Case, Figures, Part, case_seed
from support.interval_coverage import KINDS, covered_percent

TABLES, SPLITS = 20, 5


def coverage(kind: str, *, fitted: int, rows: bool, seed: int) -> Figures:
    """One kind of device: tables of 200 networks, and splits of each."""
    seeds = np.random.default_rng(seed).integers(2**31, size=TABLES).tolist()
    shares = [covered_percent(KINDS[kind], rows=rows, splits=SPLITS, fitted=fitted, seed=each) for each in seeds]
    covered = float(np.mean(shares))
    assert 86 < covered < (96 if fitted < 50 else 94), f"{covered:.1f} % covered"
    return {"covered %": covered, "least of a table": min(shares), "most of a table": max(shares)}


def cases(seed: int) -> list[Case]:
    """Every kind of device, number of networks fitted, and choice of rows."""
    found = []
    for kind, fitted, rows in product(KINDS, (30, 100), (True, False)):
        name = f"{kind}, {fitted} networks, {'rows' if rows else 'no rows'}"
        found.append(Case(name, partial(coverage, kind, fitted=fitted, rows=rows, seed=case_seed(seed, name))))
    return found


PART = Part(
    "coverage",
    "On average over tables, 86 to 94 % (of 30 networks, 96 %) of measurements lie in 90 % intervals of models "
    "that did not see them.",
    cases,
)
