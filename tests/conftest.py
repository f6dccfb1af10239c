"""What holds for every test: the CPU, one thread, its own random numbers, and how many examples Hypothesis tries."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from selenium import webdriver

pytest_plugins = ["support.processor_time"]

# The same examples at every run: a failure is a change of ours. --hypothesis-profile=thorough looks for new ones.
settings.register_profile(
    "quick", max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quick")


def pytest_configure() -> None:
    """Sets the surroundings before numpy and torch load and look at them."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # a GPU's own tests set it
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # two threads on a busy machine wait for one another
    import torch

    torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a fixture of their module run in one process, which makes it once."""
    for item in items:
        if not isinstance(item, pytest.Function) or item.get_closest_marker("xdist_group") is not None:
            continue
        definitions = item._fixtureinfo.name2fixturedefs
        shared = [name for name in item.fixturenames if any(one.scope == "module" for one in definitions.get(name, ()))]
        if shared:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}: {', '.join(shared)}"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What a test draws unseeded (fresh weights, dropout) must not depend on which tests its process ran before."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def chromium_of_this_process() -> Iterator["webdriver.Chrome"]:
    """The one browser of this process; tests ask for `browser`."""
    from support.chromium import chromium

    with chromium(acceptInsecureCerts=True) as found:
        yield found


@pytest.fixture(scope="module")
def window(chromium_of_this_process: "webdriver.Chrome") -> Iterator["webdriver.Chrome"]:
    """A module's own window of it, without anything that other modules stored."""
    from support.chromium import new_window

    with new_window(chromium_of_this_process) as found:
        yield found


@pytest.fixture
def browser(window: "webdriver.Chrome") -> "webdriver.Chrome":
    """A browser as large, bright and silent as a new one."""
    from support.chromium import reset

    reset(window)
    return window
