"""A run folder pins all that its search depends on, and takes several devices as so many objectives."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.search_problem import SPACE

from mnas_evo.accuracy.surrogate import FEWEST
from mnas_evo.bundled import bundled_folder
from mnas_evo.errors import RequestError, RunChanged
from mnas_evo.search.front import candidates, front
from mnas_evo.search.run import SearchRequest, open_run, search

TABLES = ("amd-epyc-onnxruntime", "amd-epyc-openvino")


def accuracies(path: Path, *, shift: float = 0.0) -> Path:
    """A CSV of as few networks as a surrogate takes, whose top-1 grows with their parameters."""
    genes = SPACE.sample(FEWEST, rng=np.random.default_rng(0))
    top1 = 50 + 8 * np.log10(SPACE.params(genes)) + shift
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("architecture", "top1"))
        writer.writerows(zip(SPACE.strings(genes), np.round(top1, 4), strict=True))
    return path


def request(tmp_path: Path, **more: object) -> SearchRequest:
    given = {"tables": (str(tmp_path / "table"),), "algorithm": "nsga2:population=8", "evaluations": 16, **more}
    return SearchRequest("digits", accuracy=f"surrogate:{tmp_path / 'top1.csv'}", **given)  # type: ignore[arg-type]


def searched(tmp_path: Path, **more: object) -> None:
    search(tmp_path / "run", request(tmp_path, **more), progress=lambda done, note: None)


def with_a_run(folder: Path) -> Path:
    """A folder with a table, accuracies and a search that has used both."""
    accuracies(folder / "top1.csv")
    shutil.copytree(bundled_folder("latency_tables") / TABLES[0], folder / "table")
    searched(folder)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run to change."""
    return with_a_run(tmp_path)


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that no test changes."""
    return with_a_run(tmp_path_factory.mktemp("kept"))


def test_a_larger_budget_goes_on_with_it(run: Path) -> None:
    searched(run, evaluations=24)
    form, archive = open_run(run / "run")
    with archive:
        assert form.evaluations == len(archive.tells()) == 24


def test_a_table_that_has_changed_since_is_refused(run: Path) -> None:
    shutil.rmtree(run / "table")
    shutil.copytree(bundled_folder("latency_tables") / TABLES[1], run / "table")
    with pytest.raises(RunChanged, match=r"the table that .* has changed since; give another --run"):
        searched(run, evaluations=24)


def test_an_accuracy_source_that_has_changed_since_is_refused(run: Path) -> None:
    accuracies(run / "top1.csv", shift=0.5)
    with pytest.raises(RunChanged, match=r"the accuracy that .* has changed since"):
        searched(run, evaluations=24)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"algorithm": "random"}, "algorithm"),
        ({"algorithm": "nsga2:population=9"}, "settings"),
        ({"seed": 1}, "seed"),
        ({"limits": ("latency=1",)}, "limits"),
        ({"objectives": "top1,macs", "tables": ()}, "objectives"),
    ],
)
def test_a_run_asked_for_otherwise_is_refused_with_what_differs(
    kept_run: Path, more: dict[str, object], word: str
) -> None:
    with pytest.raises(RunChanged, match=f"is a run with {word} "):
        searched(kept_run, **more)


def test_several_tables_are_several_objectives_and_the_front_weighs_them_all(tmp_path: Path) -> None:
    accuracies(tmp_path / "top1.csv")
    tables = tuple(str(bundled_folder("latency_tables") / name) for name in TABLES)
    searched(tmp_path, tables=tables, limits=(f"latency:{TABLES[0]}=1",), algorithm="nsga2:population=15")
    form, archive = open_run(tmp_path / "run")
    names = ("top1", *(f"latency_ms:{name}" for name in TABLES))
    assert form.objectives == names and list(form.limits) == [names[1]]
    with archive:
        best = front(candidates(archive), form.objectives)
        assert all(set(names) <= set(candidate.tell.values) for candidate in best)
        sources = {candidate.tell.values[names[2]].source for candidate in best}
    assert sources == {f"predicted:{TABLES[1]}"}


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    accuracies(tmp_path / "top1.csv")
    shutil.copytree(bundled_folder("latency_tables") / TABLES[0], tmp_path / TABLES[0])
    with pytest.raises(RequestError, match="have one name"):
        searched(tmp_path, tables=(TABLES[0], str(tmp_path / TABLES[0])))
