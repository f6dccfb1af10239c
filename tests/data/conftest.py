"""The Arrow cache of the `datasets` library, out of the user's home for the time of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mnas_evo.data.tables import library


@pytest.fixture(scope="session", autouse=True)
def arrow_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library().config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("arrow"))
        yield Path(library().config.HF_DATASETS_CACHE)
