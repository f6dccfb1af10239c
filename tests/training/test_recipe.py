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


@pytest.mark.parametrize(("name", "value"), [("warmup_epochs", 5), ("unfreeze_epochs", 7)])
def test_a_recipe_that_ends_before_it_has_begun_is_refused(tmp_path: Path, name: str, value: int) -> None:
    path = tmp_path / "short.toml"
    lines = ["format = 1", 'name = "short"', 'optimizer = "sgd"', "learning_rate = 0.1", "batch = 8", "epochs = 5"]
    path.write_text("\n".join([*lines, f"{name} = {value}"]))
    with pytest.raises(RequestError, match="end before the 5 epochs do"):
        load_recipe(str(path))


def test_fewer_epochs_shorten_what_leads_up_to_them_where_it_would_not_end() -> None:
    cifar, tuning = load_recipe("cifar10"), load_recipe("finetune")
    assert (cifar.with_epochs(50).warmup_epochs, cifar.with_epochs(50).epochs) == (cifar.warmup_epochs, 50)
    assert cifar.with_epochs(3).warmup_epochs == pytest.approx(cifar.warmup_epochs * 3 / cifar.epochs)
    assert tuning.with_epochs(1).unfreeze_epochs == 0
    assert tuning.with_epochs(tuning.epochs) == tuning


def test_an_unknown_recipe_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="quick"):
        load_recipe("nothing")


def test_a_recipe_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text("format = 2\n")
    with pytest.raises(OtherFormat):
        load_recipe(str(path))
