"""Memory: what is freed is kept while it is asked to be, and given back afterwards."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from mnas_evo.training.memory import keep_compiled_convolutions, ran_out_of_memory

# In a process of its own: what others left in the heap decides as well.
PAGE_FAULTS = """
import resource, torch
from mnas_evo.training.memory import freed_memory_kept

def page_faults():
    for round in range(6):
        if round == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        taken = [torch.ones(20 << 20, dtype=torch.uint8) for _ in range(8)]
        del taken
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = page_faults()
with freed_memory_kept():
    meanwhile = page_faults()
print(before, meanwhile, page_faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_memory_freed_is_taken_again_without_page_faults_until_the_end_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, timeout=120)
    before, meanwhile, after = map(int, done.stdout.split())
    assert 4 * meanwhile < before and 4 * meanwhile < after


def test_what_the_user_says_of_compiled_convolutions_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    monkeypatch.setenv("DNNL_PRIMITIVE_CACHE_CAPACITY", "7")
    keep_compiled_convolutions()
    assert "ONEDNN_PRIMITIVE_CACHE_CAPACITY" not in os.environ
    monkeypatch.delenv("DNNL_PRIMITIVE_CACHE_CAPACITY")
    keep_compiled_convolutions()
    assert int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) > 10_000


def test_only_a_lack_of_memory_is_taken_for_one() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**62, dtype=torch.uint8)
    assert ran_out_of_memory(caught.value)
    assert ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not ran_out_of_memory(RuntimeError("size mismatch"))
    assert not ran_out_of_memory(OSError("out of memory"))
