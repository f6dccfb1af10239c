"""What every predictor promises, of latency, counts or accuracy. Joining costs a line in PREDICTORS."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from strategies import TINY
from support.known_times import known_table

from mnas_evo.accuracy.surrogate import read_surrogate
from mnas_evo.accuracy.table import read_accuracy_table
from mnas_evo.errors import SpaceError
from mnas_evo.latency.contract import Predictor
from mnas_evo.latency.fitting import fit
from mnas_evo.latency.predictor import load_predictor
from mnas_evo.latency.table import write_table
from mnas_evo.search.objectives import Counted


def latency(folder: Path) -> Predictor:
    write_table(folder / "known", known_table(TINY, networks=40))
    fit(folder / "known")
    return load_predictor(folder / "known").for_space(TINY)


def accuracy(folder: Path) -> Predictor:
    rng = np.random.default_rng(0)
    strings = TINY.strings(TINY.all_genes())
    lines = [f"{string},{80 + 10 * rng.random():.3f},{rng.random():.3f}" for string in strings]
    (folder / "top1.csv").write_text("\n".join(("architecture,top1,top1_std", *lines)))
    return read_accuracy_table(folder / "top1.csv", TINY)


def surrogate(folder: Path) -> Predictor:
    accuracy(folder)
    lines = (folder / "top1.csv").read_text().splitlines()
    (folder / "few.csv").write_text("\n".join(lines[:101]))
    return read_surrogate(folder / "few.csv", TINY)


PREDICTORS: dict[str, Callable[[Path], Predictor]] = {
    "surrogate": surrogate,
    "latency": latency,
    "accuracy table": accuracy,
    "params": lambda folder: Counted(TINY, "params"),
    "macs": lambda folder: Counted(TINY, "macs"),
}
GENES = TINY.sample(50, rng=np.random.default_rng(1))


@pytest.fixture(params=PREDICTORS, scope="module")
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return PREDICTORS[request.param](tmp_path_factory.mktemp("predictor"))


def test_a_value_lies_in_its_interval_and_is_a_number(predictor: Predictor) -> None:
    said = predictor.predict(GENES)
    assert said.value.shape == said.low.shape == said.high.shape == (50,)
    assert np.isfinite(said.value).all() and (said.value > 0).all()
    assert (said.low <= said.value).all() and (said.value <= said.high).all()


def test_an_architectures_value_does_not_depend_on_its_company(predictor: Predictor) -> None:
    together = predictor.predict(GENES).value
    assert np.allclose([predictor.predict(row[None]).value[0] for row in GENES], together, rtol=1e-12)
    assert np.allclose(predictor.predict(GENES[::-1]).value, together[::-1], rtol=1e-12)


def test_genomes_of_one_architecture_have_one_value(predictor: Predictor) -> None:
    genes = np.random.default_rng(2).integers(0, TINY.sizes, size=(200, len(TINY.sizes)))
    assert np.allclose(predictor.predict(genes).value, predictor.predict(TINY.canonical(genes)).value, rtol=1e-12)


def test_no_genomes_have_no_values(predictor: Predictor) -> None:
    assert predictor.predict(GENES[:0]).value.shape == (0,)


def test_genes_outside_the_space_are_refused(predictor: Predictor) -> None:
    with pytest.raises(SpaceError, match="outside the options"):
        predictor.predict(np.tile(TINY.sizes, (1, 1)))
