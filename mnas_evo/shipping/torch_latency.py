"""A network's latency in torch itself, on this machine: what `torch.utils.benchmark` says, beside the campaign's."""

from dataclasses import dataclass

import torch

from mnas_evo.models.torch_network import GraphNetwork

SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class TorchLatency:
    """Median and interquartile range of one image's time, ms: eager, one thread."""

    median_ms: float
    iqr_ms: float


def torch_latency(module: GraphNetwork, *, seconds: float = SECONDS) -> TorchLatency:
    """Times one image through a module in evaluation mode for at least so many seconds, on one thread.

    The time is eager torch's: it holds what Python and unfused operations cost, which a runtime does not have.
    """
    from torch.utils.benchmark import Timer

    image = torch.zeros(1, *module.graph.in_shape)
    with torch.inference_mode():
        timer = Timer("module(image)", globals={"module": module.eval(), "image": image}, num_threads=1)
        found = timer.blocked_autorange(min_run_time=seconds)
    return TorchLatency(1e3 * found.median, 1e3 * found.iqr)
