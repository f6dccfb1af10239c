"""Recipes: by name or file, all faults at once."""

from pathlib import Path

import pytest

from mnas_evo.errors import OtherFormat, RequestError
from mnas_evo.training.recipe import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_comes_with_the_package_can_be_read(name: str) -> None:
    assert load_recipe(name).name == name


def test_all_faults_of_a_recipe_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        'format = 1\nname = "bad"\noptimizer = "adam"\nlearning_rate = -1\nbatch = 64\nepochs = 2\nlr = 3\n'
    )
    with pytest.raises(RequestError) as caught:
        load_recipe(str(path))
    assert all(word in str(caught.value) for word in ("optimizer", "learning_rate", "lr"))


def test_an_unknown_recipe_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="quick"):
        load_recipe("nothing")


def test_a_recipe_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text("format = 2\n")
    with pytest.raises(OtherFormat):
        load_recipe(str(path))
