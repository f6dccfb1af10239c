"""Optimiser and learning rate of a recipe, for whatever is trained."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mnas_evo.training.recipe import Recipe


def optimizer_and_schedule(
    stages: Sequence[Iterable[nn.Parameter]], recipe: Recipe, *, steps: int, processes: int = 1
) -> tuple[Optimizer, LambdaLR]:
    """Optimiser and learning-rate schedule of a recipe, the schedule to be stepped `steps` times an epoch.

    `stages` are the parameters from the stem to the classifier, for the recipe's layer decay. Weight decay falls on
    tensors of more than one dimension alone: not on biases and batch norms.
    """
    top = recipe.learning_rate
    if recipe.learning_rate_batch is not None:
        top *= recipe.batch * processes / recipe.learning_rate_batch
    parts = [list(stage) for stage in stages]
    if recipe.layer_decay == 1.0:  # few groups: a step has a cost for each
        parts = [[parameter for part in parts for parameter in part]]
    groups = []
    for depth, given in enumerate(reversed(parts)):
        rate = top * recipe.layer_decay**depth
        groups.append({"params": [p for p in given if p.ndim > 1], "weight_decay": recipe.weight_decay, "lr": rate})
        groups.append({"params": [p for p in given if p.ndim <= 1], "weight_decay": 0.0, "lr": rate})
    groups = [group for group in groups if group["params"]]
    optimizer: Optimizer  # fused: of 58 small tensors AdamW's step takes .2 ms so, 1.1 ms without
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=top, fused=True)
    elif recipe.optimizer == "sgd":
        # Not fused: that one cannot begin where some tensors have no gradient yet, as in a supernet's first steps.
        optimizer = torch.optim.SGD(groups, lr=top, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    else:
        optimizer = TensorFlowRMSprop(groups, lr=top, momentum=recipe.momentum)
    warmup = recipe.warmup_epochs * steps

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return _share_after(step - warmup, recipe, steps=steps)

    return optimizer, LambdaLR(optimizer, share)


def _share_after(step: float, recipe: Recipe, *, steps: int) -> float:
    """Share of the learning rate so many steps after the warm-up."""
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "exponential":  # in stairs, as in the authors' code
        return recipe.decay_rate ** int(step / (recipe.decay_epochs * steps))
    left = max(1.0, (recipe.epochs - recipe.warmup_epochs) * steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / left)))


class TensorFlowRMSprop(Optimizer):
    """RMSProp as TensorFlow's, which MnasNet was trained with (Tan et al. 2019, section 4.3).

    It differs from torch's in what decides a training's first epochs: the mean square begins at 1 and not at 0, eps
    stands under the root, and the learning rate is in the momentum.
    """

    def __init__(self, groups: Any, *, lr: float, decay: float = 0.9, momentum: float = 0.9, eps: float = 1e-3) -> None:
        super().__init__(groups, {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step on whatever has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if moved:
                self._move(moved, group)
        return loss

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        states = [self.state[p] for p in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["mean_square"] = torch.ones_like(parameter)
                state["momentum"] = torch.zeros_like(parameter)
        squares, momenta = [s["mean_square"] for s in states], [s["momentum"] for s in states]
        gradients: Any = [p.grad for p in parameters]
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_addcdiv_(momenta, gradients, roots, group["lr"])
        torch._foreach_sub_(parameters, momenta)
