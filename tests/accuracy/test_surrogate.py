"""The surrogate of top-1: it ranks networks that it has not seen, and says how sure it is, or why it cannot."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data
from support.search_problem import problem

from mnas_evo.accuracy.surrogate import (
    FEWEST,
    MODELS,
    SurrogateFeatures,
    TopOneSurrogate,
    rank_quality,
    read_surrogate,
    score_top1,
)
from mnas_evo.cli.main import run
from mnas_evo.errors import RequestError, SpaceError
from mnas_evo.files import versions, write_csv, write_form
from mnas_evo.search.archive import Archive, Tell
from mnas_evo.search.drive import drive
from mnas_evo.search.nsga2 import Nsga2
from mnas_evo.search.run import RunForm, accuracy_source, archive_path
from mnas_evo.space.space import Genes
from mnas_evo.space.space_file import load_space

Capture = pytest.CaptureFixture[str]
SPACE = load_space("digits")
GENES = SPACE.sample(260, rng=np.random.default_rng(0))


def truth(genes: Genes) -> np.ndarray:
    """Top-1 that grows with work, sinks with parameters, and has a liking for second options."""
    macs, params = SPACE.macs(genes), SPACE.params(genes)
    top1: np.ndarray = 80 + 6 * np.log(macs / 1e6) - 2 * np.log(params / 1e4) + 6 * (genes == 1).mean(axis=1)
    return top1


def written(path: Path, genes: Genes, *, noise: float = 0.2) -> Path:
    """A CSV of their top-1, with noise."""
    top1 = np.clip(truth(genes) + noise * np.random.default_rng(1).standard_normal(len(genes)), 0, 100)
    found = dict(zip(SPACE.strings(genes), top1.tolist(), strict=True))
    write_csv(path, ("architecture", "top1"), [(string, f"{one:.4f}") for string, one in found.items()])
    return path


@pytest.fixture
def trained_on(tmp_path: Path) -> Path:
    """A CSV of 60 networks."""
    return written(tmp_path / "top1.csv", GENES[:60])


def test_unseen_networks_are_ranked_and_met(tmp_path: Path) -> None:
    surrogate = read_surrogate(written(tmp_path / "top1.csv", GENES[:120]), SPACE)
    unseen = GENES[120:]
    said = surrogate.predict(unseen)
    found = rank_quality(said.value, truth(unseen))
    macs = rank_quality(SPACE.macs(unseen).astype(float), truth(unseen))
    assert found.kendall > 0.9 > macs.kendall
    assert found.mae < 0.6
    assert ((said.low <= said.value) & (said.value <= said.high) & (said.high <= 100)).all()


def test_the_model_of_the_best_ranks_out_of_fold_is_taken_and_all_are_told(tmp_path: Path) -> None:
    surrogate = read_surrogate(written(tmp_path / "top1.csv", GENES[:80]), SPACE)
    assert set(surrogate.quality) == set(MODELS)
    assert surrogate.quality[surrogate.chosen].kendall == max(one.kendall for one in surrogate.quality.values())


def test_intervals_hold_nine_networks_in_ten(tmp_path: Path) -> None:
    path = written(tmp_path / "top1.csv", GENES, noise=0.5)
    covered = [score_top1(path, space=SPACE, train=80, seed=seed).coverage_percent for seed in range(4)]
    assert 82 < np.mean(covered) < 97


def test_genomes_that_are_one_architecture_have_one_vector() -> None:
    features = SurrogateFeatures(SPACE)
    genes = np.random.default_rng(2).integers(0, SPACE.sizes, size=(100, len(SPACE.sizes)))
    assert np.array_equal(features.of_genes(genes), features.of_genes(SPACE.canonical(genes)))


def test_the_same_file_and_seed_say_the_same(tmp_path: Path) -> None:
    path = written(tmp_path / "top1.csv", GENES[:60])
    one, other = (read_surrogate(path, SPACE, seed=3) for _ in range(2))
    assert one.fingerprint == other.fingerprint
    assert np.array_equal(one.predict(GENES).value, other.predict(GENES).value)


def test_too_few_networks_are_refused_with_both_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "top1.csv", GENES[: FEWEST - 1])
    with pytest.raises(RequestError, match=rf"lists {FEWEST - 1} architectures, a surrogate needs at least {FEWEST}"):
        read_surrogate(path, SPACE)


def test_a_network_of_another_space_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "top1.csv", GENES[:40])
    path.write_text(path.read_text() + "32x32x1/stem8/r1_k3_e1_o8/head64/10,80\n")
    with pytest.raises(SpaceError, match="blocks"):
        read_surrogate(path, SPACE)


def test_score_prints_one_document_and_a_table(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path / "top1.csv", GENES)
    arguments = ["score", "--top1", str(path), "--space", "digits", "--train", "60"]
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"name", "kendall", "spearman", "mae"} <= set(found["chosen"])
    assert found["train"] == 60 and found["test"] == len(path.read_text().splitlines()) - 61
    assert run(arguments) == 0
    assert "held back" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--train", "29"], "not 29"),
        (["--train", "9999"], "not 9999"),
        (["--train", "60", "--networks", "a.csv"], "give one of --networks"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    more: list[str], word: str, tmp_path: Path, capsys: Capture
) -> None:
    path = written(tmp_path / "top1.csv", GENES[:90])
    assert run(["score", "--top1", str(path), "--space", "digits", *more]) == 2
    err = capsys.readouterr().err
    assert word in err and err.count("\n") == 1


def test_a_search_takes_its_accuracies_from_a_surrogate(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path / "top1.csv", GENES[:60])
    arguments = ["search", "--space", "digits", "--accuracy", f"surrogate:{path}", "--objectives", "top1,macs"]
    assert run([*arguments, "--evaluations", "40", "--run", str(tmp_path / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["distinct"] == 40 and len(found["front"]) > 1


def ran(folder: Path, evaluations: int) -> list[Tell]:
    """A run of so many evaluations, some of which fail; its tells."""
    form = RunForm(
        space="digits", tables=(), accuracy="proxy:digits", algorithm="nsga2", settings={}, evaluations=evaluations,
        seed=0, objectives=("top1", "latency_ms"), limits={}, pins={}, versions=versions(),
    )  # fmt: skip
    write_form(folder / "run.json", form)
    with Archive(archive_path(folder), create=True) as archive:
        target = problem(fails=0.2, limits={"latency_ms": 0.9})
        searcher = Nsga2(SPACE, objectives=2, seed=0, population=8)
        drive(searcher, target, archive, evaluations=evaluations, seed=0, progress=lambda done, text: None)
        return archive.tells()


def of_run(folder: Path) -> TopOneSurrogate:
    found = accuracy_source(f"surrogate:{folder}", SPACE)
    assert isinstance(found, TopOneSurrogate)
    return found


def test_a_run_is_a_source_of_what_it_paid_for_without_failures_limits_and_repeats(tmp_path: Path) -> None:
    tells = ran(tmp_path / "run", 60)
    assert {tell.kind for tell in tells} == {"values", "failure", "violation"}
    with Archive(archive_path(tmp_path / "run")) as archive:
        archive.add_tells([replace(next(tell for tell in tells if tell.kind == "values"), batch=99, repeat=True)])
    expected = {tell.network: tell.values["top1"].value for tell in tells if tell.kind == "values"}
    surrogate = of_run(tmp_path / "run")
    assert surrogate.evaluated.top1 == expected and len(expected) < 60
    assert surrogate.source == "surrogate:run"
    write_csv(tmp_path / "same.csv", ("architecture", "top1"), [(s, repr(top1)) for s, top1 in expected.items()])
    same = read_surrogate(tmp_path / "same.csv", SPACE)
    assert np.array_equal(same.predict(GENES).value, surrogate.predict(GENES).value)
    assert same.fingerprint == surrogate.fingerprint


def test_a_run_that_has_grown_is_another_source(tmp_path: Path) -> None:
    ran(tmp_path / "run", 50)
    first, again = of_run(tmp_path / "run"), of_run(tmp_path / "run")
    ran(tmp_path / "run", 60)
    assert first.fingerprint == again.fingerprint != of_run(tmp_path / "run").fingerprint


def test_a_run_with_too_little_to_learn_from_is_refused_with_the_reason(
    tmp_path: Path, trained_on: Path, capsys: Capture
) -> None:
    ran(tmp_path / "few", 10)
    with pytest.raises(RequestError, match=r"few lists \d architectures, a surrogate needs at least 30"):
        of_run(tmp_path / "few")
    arguments = ["search", "--space", "digits", "--accuracy", f"surrogate:{trained_on}", "--objectives", "top1,macs"]
    assert run([*arguments, "--evaluations", "40", "--run", str(tmp_path / "predicted"), "--json"]) == 0
    with pytest.raises(RequestError, match=r"holds no evaluated network: its top-1 is from surrogate:"):
        of_run(tmp_path / "predicted")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="holds no search"):
        of_run(tmp_path / "empty")
    assert run([*arguments[:4], f"surrogate:{tmp_path / 'few'}", *arguments[5:], "--run", str(tmp_path / "x")]) == 2
    assert "a surrogate needs at least" in capsys.readouterr().err


def test_a_network_of_another_input_is_refused(trained_on: Path) -> None:
    trained_on.write_text(trained_on.read_text().replace("32x32x1/", "28x28x1/", 1))
    with pytest.raises(SpaceError, match=r"28x28x1.*another input, stem, head or classes than digits"):
        read_surrogate(trained_on, SPACE)


@pytest.mark.slow
def test_networks_that_others_trained_are_ranked_from_few_of_them(tmp_path: Path) -> None:
    sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
    from accel_nasbench import SPACE as NAME
    from accel_nasbench import convert

    space = load_space(NAME)
    convert(real_data("accel-nasbench-half.csv"), tmp_path, space)
    for train, wanted in ((200, 0.86), (1000, 0.905)):
        found = [score_top1(tmp_path / "top1.csv", space=space, train=train, seed=seed) for seed in range(3)]
        assert np.mean([one.held_back.kendall for one in found]) >= wanted
