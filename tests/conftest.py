"""What holds for every test: the CPU, one thread, and how many examples Hypothesis tries."""

import os

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # before torch looks; a GPU's own tests set it

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

# The same examples at every run, so that a failure is a change of ours; `--hypothesis-profile=thorough` looks for new ones.
settings.register_profile(
    "quick", max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")
