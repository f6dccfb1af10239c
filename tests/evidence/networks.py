"""Many whole networks of every built-in space: counts from genes, and onnxruntime's outputs against torch's."""

from functools import partial

import torch
from evidence.part import Case, Figures, Part, case_seed
from support.built_in_spaces import check_agreement, check_counts, networks_of, resized

from mnas_evo.space.space_file import space_names

COUNTED = 300
RUN = 4
SIZES = (32, 57, 96, 160, 224)


def agreement(name: str, *, size: int, seed: int) -> Figures:
    """Networks of a space at a size, with one and with three image channels."""
    differences = [
        check_agreement(resized(network, size=size, channels=channels))
        for channels in (1, 3)
        for network in networks_of(name, n=RUN, seed=case_seed(seed, f"{channels}"))
    ]
    return {"networks": len(differences), "largest difference": max(differences)}


def counts(name: str, *, seed: int) -> Figures:
    """Networks of a space, with its own input."""
    check_counts(name, n=COUNTED, seed=seed)
    return {"networks": COUNTED}


def cases(seed: int) -> list[Case]:
    """Counts and every size, for each space."""
    torch.set_num_threads(1)
    found = []
    for name in space_names():
        case = f"{name}, counts"
        found.append(Case(case, partial(counts, name, seed=case_seed(seed, case))))
        for size in SIZES:
            case = f"{name}, {size} pixels"
            found.append(Case(case, partial(agreement, name, size=size, seed=case_seed(seed, case))))
    return found


PART = Part(
    "networks",
    "Parameters and multiply-adds from genes are those of the module. "
    "onnxruntime's outputs differ from torch's by less than 1e-4 of the largest, for one and three image channels.",
    cases,
)
