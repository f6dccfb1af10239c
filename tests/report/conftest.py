"""One whole job for all tests of the report, to be read, and copied where a test changes it."""

import shutil
from pathlib import Path

import pytest
from support.sample_job import build_job


@pytest.fixture(scope="session")
def finished_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job folder with all its parts; not to be changed."""
    return build_job(tmp_path_factory.mktemp("finished") / "job")


@pytest.fixture
def job(finished_job: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished_job, tmp_path / "job"))
