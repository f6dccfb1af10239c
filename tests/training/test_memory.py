"""Memory: what is freed is kept while it is asked to be, and given back afterwards."""

import platform
import resource

import pytest
import torch

from mnas_evo.training.memory import freed_memory_kept, ran_out_of_memory

MANY_BYTES = 40 << 20  # more than glibc ever keeps by itself


def page_faults() -> int:
    """Page faults of taking and freeing memory a few times."""
    torch.ones(MANY_BYTES, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(MANY_BYTES, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_memory_freed_is_taken_again_without_page_faults_until_the_end_of_it() -> None:
    before = page_faults()
    with freed_memory_kept():
        meanwhile = page_faults()
    after = page_faults()
    assert 4 * meanwhile < before and 4 * meanwhile < after


def test_only_a_lack_of_memory_is_taken_for_one() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**62, dtype=torch.uint8)
    assert ran_out_of_memory(caught.value)
    assert ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not ran_out_of_memory(RuntimeError("size mismatch"))
    assert not ran_out_of_memory(OSError("out of memory"))
