"""What anyone may type: strings and space files are read, or refused in the project's own words.

The inputs are the same at every run. `make evidence PART=fuzzing` tries seven times as many, new at every run.
"""

import random

import pytest
from support.fuzzed_text import check_space_files, check_strings


@pytest.mark.slow
def test_every_architecture_string_is_read_or_refused_in_the_projects_words() -> None:
    assert 1_120 < check_strings(15_400, rng=random.Random(0)) < 11_200


@pytest.mark.slow
def test_every_space_file_is_read_and_usable_or_refused_in_the_projects_words() -> None:
    assert 280 < check_space_files(4_620, rng=random.Random(0)) < 2_800
