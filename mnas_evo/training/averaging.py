"""A moving average of a network's weights and batch statistics, which tests better than the last weights do."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def weight_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network that follows it at every `update_parameters(network)`.

    Early on it follows faster, by (1 + n) / (10 + n) after n steps, as TensorFlow's does: it would keep the fresh
    weights for thousands of steps otherwise.
    """

    def follow(mean: Sequence[Tensor], now: Sequence[Tensor], steps: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(steps)) / (10 + int(steps)))
        if mean[0].is_floating_point():
            torch._foreach_lerp_(list(mean), list(now), weight)
        else:  # batch norm's count of batches
            torch._foreach_copy_(list(mean), list(now))

    average = AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
    average.requires_grad_(False)
    return average
