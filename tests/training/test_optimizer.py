"""Optimiser and schedule of a recipe: what decays, and how the learning rate goes."""

import pytest
import torch
from torch import nn

from mnas_evo.training.optimizer import optimizer_and_schedule
from mnas_evo.training.recipe import Recipe, load_recipe

RECIPE = load_recipe("quick").model_copy(update={"weight_decay": 0.3, "epochs": 4, "warmup_epochs": 1.0})
STEPS = 10


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.parametrize("name", ["adamw", "sgd", "rmsprop"])
def test_weights_decay_and_biases_and_batch_norms_do_not(name: str) -> None:
    module = network()
    recipe = RECIPE.model_copy(update={"optimizer": name})
    optimizer, _ = optimizer_and_schedule(module.parameters(), recipe, steps=STEPS)
    assert type(optimizer).__name__.lower() == name
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in module.named_parameters()} == {
        "0.weight": 0.3, "0.bias": 0, "1.weight": 0, "1.bias": 0, "3.weight": 0.3, "3.bias": 0,
    }  # fmt: skip


def rates(recipe: Recipe) -> list[float]:
    """The learning rate of every step, and the one after the last."""
    optimizer, schedule = optimizer_and_schedule([nn.Parameter(torch.zeros(2, 2))], recipe, steps=STEPS)
    found = []
    for _ in range(recipe.epochs * STEPS + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_learning_rate_rises_evenly_then_falls_along_a_cosine_to_nothing() -> None:
    found = rates(RECIPE)
    top = RECIPE.learning_rate
    assert found[:STEPS] == pytest.approx([top * (step + 1) / (STEPS + 1) for step in range(STEPS)])
    assert found[STEPS] == pytest.approx(top)
    assert found[STEPS + 3 * STEPS // 2] == pytest.approx(top / 2)
    assert found[STEPS:] == sorted(found[STEPS:], reverse=True)
    assert found[-1] == pytest.approx(0, abs=1e-9)


def test_without_warmup_it_begins_at_the_top() -> None:
    assert rates(RECIPE.model_copy(update={"warmup_epochs": 0.0}))[0] == RECIPE.learning_rate
