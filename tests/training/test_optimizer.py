"""Optimiser and schedule of a recipe: what decays, and how the learning rate goes."""

import pytest
import torch
from torch import nn

from mnas_evo.training.optimizer import TensorFlowRMSprop, optimizer_and_schedule
from mnas_evo.training.recipe import Recipe, load_recipe

RECIPE = load_recipe("quick").model_copy(update={"weight_decay": 0.3, "epochs": 4, "warmup_epochs": 1.0})
STEPS = 10


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.parametrize("name", ["adamw", "sgd", "rmsprop"])
def test_weights_decay_and_biases_and_batch_norms_do_not(name: str) -> None:
    module = network()
    recipe = RECIPE.model_copy(update={"optimizer": name})
    optimizer, _ = optimizer_and_schedule([module.parameters()], recipe, steps=STEPS)
    assert type(optimizer).__name__.lower().endswith(name)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in module.named_parameters()} == {
        "0.weight": 0.3, "0.bias": 0, "1.weight": 0, "1.bias": 0, "3.weight": 0.3, "3.bias": 0,
    }  # fmt: skip


def rates(recipe: Recipe) -> list[float]:
    """The learning rate of every step, and the one after the last."""
    optimizer, schedule = optimizer_and_schedule([[nn.Parameter(torch.zeros(2, 2))]], recipe, steps=STEPS)
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


def test_a_constant_rate_stays_after_its_warmup() -> None:
    found = rates(RECIPE.model_copy(update={"schedule": "constant"}))
    assert found[0] < found[STEPS - 1] < RECIPE.learning_rate
    assert found[STEPS:] == [RECIPE.learning_rate] * (len(found) - STEPS)


def test_the_papers_rate_falls_in_stairs_after_its_warmup() -> None:
    update = {"schedule": "exponential", "decay_rate": 0.5, "decay_epochs": 1.5}
    found = rates(RECIPE.model_copy(update=update))
    shares = [rate / RECIPE.learning_rate for rate in found[STEPS:]]
    assert shares[:15] == pytest.approx([1.0] * 15)
    assert shares[15:30] == pytest.approx([0.5] * 15)
    assert shares[30:] == pytest.approx([0.25])


@pytest.mark.parametrize("processes", [1, 4])
def test_a_rate_for_so_many_images_goes_with_the_images_of_all_processes(processes: int) -> None:
    recipe = RECIPE.model_copy(update={"learning_rate_batch": 256, "batch": 64, "warmup_epochs": 0.0})
    stages = [[nn.Parameter(torch.zeros(2, 2))]]
    optimizer, _ = optimizer_and_schedule(stages, recipe, steps=STEPS, processes=processes)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(RECIPE.learning_rate * 64 * processes / 256)


def test_the_papers_recipe_has_its_learning_rate_at_its_batch() -> None:
    paper = load_recipe("imagenet-paper").model_copy(update={"warmup_epochs": 0.0})
    optimizer, _ = optimizer_and_schedule([[nn.Parameter(torch.zeros(2, 2))]], paper, steps=STEPS, processes=32)
    assert paper.batch * 32 == 4096
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.256)


def test_layers_learn_the_slower_the_further_they_are_from_the_classifier() -> None:
    recipe = RECIPE.model_copy(update={"layer_decay": 0.5, "warmup_epochs": 0.0})
    stages = [[nn.Parameter(torch.zeros(2, 2))] for _ in range(3)]
    optimizer, schedule = optimizer_and_schedule(stages, recipe, steps=STEPS)
    by_parameter = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    top = RECIPE.learning_rate
    assert [by_parameter[id(stage[0])] for stage in stages] == pytest.approx([top / 4, top / 2, top])
    for _ in range(2 * STEPS):
        optimizer.step()
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([top / 2, top / 4, top / 8])


def test_rmsprop_steps_as_tensorflows_formula_says() -> None:
    generator = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(3, 2, generator=generator), torch.randn(5, 3, 2, generator=generator)
    parameter, unmoved = nn.Parameter(start.clone()), nn.Parameter(torch.ones(2))
    group = {"params": [parameter, unmoved], "weight_decay": 0.1}
    optimizer = TensorFlowRMSprop([group], lr=0.2, decay=0.9, momentum=0.8, eps=1e-3)
    value, square, momentum = start.clone(), torch.ones(3, 2), torch.zeros(3, 2)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        decayed = gradient + 0.1 * value
        square = 0.9 * square + 0.1 * decayed**2
        momentum = 0.8 * momentum + 0.2 * decayed / torch.sqrt(square + 1e-3)
        value = value - momentum
    assert torch.allclose(parameter.detach(), value, atol=1e-6)
    assert torch.equal(unmoved.detach(), torch.ones(2))
