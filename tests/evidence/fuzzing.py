"""Architecture strings and space files that nobody has tried before: each is read, or refused in a message."""

import random
from collections.abc import Callable
from functools import partial

from evidence.part import Case, Figures, Part, case_seed
from support.fuzzed_text import check_space_files, check_strings

CHUNKS = 10
STRINGS, FILES = 11_000, 3_300  # of each chunk


def fuzz(check: Callable[..., int], *, n: int, seed: int) -> Figures:
    """One chunk of inputs."""
    return {"inputs": n, "read": check(n, rng=random.Random(seed))}


def cases(seed: int) -> list[Case]:
    """Chunks of strings and of files."""
    found = []
    for kind, check, n in (("strings", check_strings, STRINGS), ("space files", check_space_files, FILES)):
        for chunk in range(1, CHUNKS + 1):
            name = f"{kind}, chunk {chunk}"
            found.append(Case(name, partial(fuzz, check, n=n, seed=case_seed(seed, name))))
    return found


PART = Part(
    "fuzzing",
    "Each damaged architecture string or space file is read and usable, or an MnasEvoError has a message for it.",
    cases,
)
