"""Where real data lie that tests check against; they are no part of a checkout, and tests that need them skip."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("MNAS_EVO_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real_data(name: str) -> Path:
    """A file or folder of the real data; the test skips, saying so, where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs {name} in the folder that MNAS_EVO_DATA names; {DATA} has none")
    return path
