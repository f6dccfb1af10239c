"""Memory in training: whether an error says that it ran out, and keeping for the next step what it needs again."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_RAN_OUT = ("out of memory", "can't allocate memory", "not enough memory")
# malloc.h's numbers of the two options; what training keeps; and the most that glibc raises them to by itself. For what
# is taken from the system apart it refuses a threshold above 32 MiB.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _GLIBC_TRIM_BYTES, _GLIBC_MMAP_BYTES = 1 << 30, 64 << 20, 32 << 20

# oneDNN's own limit is 1,024, which a supernet's convolutions of different shapes, forth and back, go beyond.
_CONVOLUTIONS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY")
_CONVOLUTIONS_KEPT = 1 << 15


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error is torch's word for a lack of memory, on a GPU or the processor."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _RAN_OUT)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Has glibc keep what a step frees for the next: given back, its page faults take a tenth of a step and more.

    Without glibc nothing changes. Afterwards what is free goes back to the system.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    libc.mallopt(_MMAP_THRESHOLD, _GLIBC_MMAP_BYTES)
    try:
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, _GLIBC_TRIM_BYTES)
        libc.malloc_trim(0)


def keep_compiled_convolutions() -> None:
    """Has oneDNN keep the code of as many convolutions as a supernet has, from before the process's first one on.

    It compiles one for each shape; without room for all, a step of a supernet spends a third of its time on compiling
    them again. Processes started later keep as many; what the user has set stays.
    """
    if not any(name in os.environ for name in _CONVOLUTIONS):
        os.environ[_CONVOLUTIONS[0]] = str(_CONVOLUTIONS_KEPT)
