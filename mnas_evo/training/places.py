"""Where and on how many threads torch computes; nothing here brings Lightning, which takes seconds to import."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORKER = "MNAS_EVO_WORKER"
"""Variable of the environment that tells a process of a pool its number."""


def pick_device(asked: str = "auto") -> str:
    """The device asked for; auto is the CPU, or where CUDA devices are visible the one whose turn this process is."""
    if asked != "auto":
        return asked
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{int(os.environ.get(WORKER, 0)) % count}" if count else "cpu"


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread of this process while it lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
