"""Speed in a supernet: what its training's losses tell of choices, and of networks that no step has trained."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau
from strategies import TINY

from mnas_evo.accuracy.contract import Evaluator
from mnas_evo.accuracy.paths import SIZES, TrainedPaths, read_paths, sandwiches, write_paths
from mnas_evo.accuracy.spec import parse_accuracy
from mnas_evo.accuracy.supernet_speed import SupernetSpeed, supernet_speed
from mnas_evo.accuracy.supernet_training import PATHS_FILE, SupernetForm
from mnas_evo.cli.main import run
from mnas_evo.data.datasets import search_data
from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.files import versions, write_form
from mnas_evo.space.space import Genes, SearchSpace
from mnas_evo.space.space_file import load_space, space_text
from mnas_evo.training.recipe import load_recipe

SPACE = load_space("digits")
STEPS = 200


def true_loss(genes: Genes, space: SearchSpace = SPACE) -> np.ndarray:
    """A mean loss that each layer adds to by its block's choices, and each width by itself, (n,)."""
    rng = np.random.default_rng(11)
    effects = [rng.normal(0, 0.012, size) for size in space.sizes.tolist()]
    layers = np.array([[max(1, block.layers) for block in space.decode(row).blocks] for row in genes])
    found = np.full(len(genes), 1.2)
    for g, ((kind, _), block) in enumerate(zip(space.gene_options, space.gene_blocks, strict=True)):
        of_gene = layers[:, block - 1] if block else layers.sum(axis=1)
        found += effects[g][genes[:, g]] * (1 if kind in SIZES else of_gene)
    return found


def as_if_trained(folder: Path, space: SearchSpace = SPACE, *, noise: float = 0.05, steps: int = STEPS) -> Path:
    """A supernet's folder whose losses follow `true_loss`, a course that falls over the steps, and noise."""
    rng = np.random.default_rng(5)
    paths = sandwiches(space, paths=4, rng=rng)
    genes = np.stack([next(paths) for _ in range(steps)])
    course = np.linspace(1.0, 0.0, steps)[:, None] + rng.normal(0, 0.2, (steps, 1))  # of the images of a step
    losses = true_loss(genes.reshape(steps * 4, -1), space).reshape(steps, 4) + course
    losses += rng.normal(0, noise, (steps, 4))
    data = search_data("digits@96")
    form = SupernetForm(
        space=space.name, space_fingerprint=space.fingerprint, data="digits@96", split=data.split,
        recipe=load_recipe("supernet"), seed=0, mean=(0.5,), deviation=(0.5,), versions=versions(),
    )  # fmt: skip
    write_form(folder / "supernet.json", form)
    (folder / "space.toml").write_text(space_text(space.name))
    write_paths(folder / PATHS_FILE, TrainedPaths(genes, losses.astype(np.float32)))
    (folder / "supernet.pt").write_bytes(b"weights, which speed does not read")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_if_trained(tmp_path_factory.mktemp("supernet"))


def drawn(n: int = 300) -> Genes:
    return SPACE.sample(n, rng=np.random.default_rng(1))


def test_networks_that_no_step_trained_are_ranked_by_what_their_choices_cost(folder: Path) -> None:
    genes, found = drawn(), supernet_speed(folder)
    said = found.predict(genes)
    assert kendalltau(said.value, -true_loss(genes))[0] > 0.75
    # The level is that of the mean over all steps, whose course has a mean of .5.
    assert np.mean(-np.log(said.value / 100)) == pytest.approx(true_loss(genes).mean() + 0.5, abs=0.06)


@pytest.mark.parametrize("name", ["nas-bench-macro", "single-op"])
def test_blocks_without_layers_and_choices_that_all_blocks_share_are_ranked_too(tmp_path: Path, name: str) -> None:
    space = load_space(name)
    genes = space.all_genes()
    said = supernet_speed(as_if_trained(tmp_path, space)).predict(genes)
    assert kendalltau(said.value, -true_loss(genes, space))[0] > 0.75


def test_intervals_hold_the_mean_loss_of_most_networks_and_narrow_with_steps(tmp_path: Path, folder: Path) -> None:
    genes = drawn()
    said, longer = (
        supernet_speed(folder).predict(genes),
        supernet_speed(as_if_trained(tmp_path, steps=800)).predict(genes),
    )
    apart = -np.log(np.stack([said.low, said.value, said.high]) / 100)
    true = true_loss(genes) - true_loss(genes).mean() + apart[1].mean()
    assert 0.7 < np.mean((apart[2] <= true) & (true <= apart[0])) <= 1.0
    assert np.all(said.low < said.value) and np.all(said.value < said.high)
    assert np.mean(longer.high - longer.low) < 0.8 * np.mean(said.high - said.low)


def test_images_that_are_hard_for_all_networks_of_a_step_change_nothing(tmp_path: Path, folder: Path) -> None:
    as_if_trained(tmp_path)
    paths = read_paths(tmp_path / PATHS_FILE)
    harder = paths.losses + np.random.default_rng(2).normal(0, 3, (STEPS, 1)).astype(np.float32)
    write_paths(tmp_path / PATHS_FILE, TrainedPaths(paths.genes, harder))
    one, other = (np.log(supernet_speed(where).predict(drawn()).value) for where in (folder, tmp_path))
    assert np.corrcoef(one, other)[0, 1] > 0.999


def test_it_is_a_source_that_predicts_with_its_own_fingerprint(tmp_path: Path, folder: Path) -> None:
    source = parse_accuracy(f"supernet:{folder},score=speed", SPACE)
    assert isinstance(source, SupernetSpeed) and not isinstance(source, Evaluator)
    assert source.source == f"supernet:{folder.name},score=speed"
    again, other = supernet_speed(folder), supernet_speed(as_if_trained(tmp_path, noise=0.06))
    assert source.fingerprint == again.fingerprint != other.fingerprint
    assert np.array_equal(source.predict(drawn()).value, again.predict(drawn()).value)
    assert source.predict(drawn(3)[:0]).value.shape == (0,)


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RequestError, match="score is top1 or speed, not 'fast'"):
        parse_accuracy(f"supernet:{folder},score=fast", SPACE)
    with pytest.raises(RequestError, match=r"speaks of genomes: give --space .*space\.toml"):
        parse_accuracy(f"supernet:{folder},score=speed", None)
    with pytest.raises(RequestError, match="another space than"):
        parse_accuracy(f"supernet:{folder},score=speed", TINY)
    as_if_trained(tmp_path)
    held = (tmp_path / PATHS_FILE).read_bytes()
    for damaged in (b"", held[:200], b"no archive"):
        (tmp_path / PATHS_FILE).write_bytes(damaged)
        with pytest.raises(DamagedFile, match=r"paths\.npz is damaged"):
            supernet_speed(tmp_path)
    write_paths(tmp_path / PATHS_FILE, TrainedPaths(drawn(4)[None], np.zeros((1, 3), dtype=np.float32)))
    with pytest.raises(DamagedFile, match=r"genes of shape \(1, 4, .*losses of \(1, 3\)"):
        supernet_speed(tmp_path)
    (tmp_path / PATHS_FILE).unlink()
    with pytest.raises(RequestError, match="losses were not kept; train it again"):
        supernet_speed(tmp_path)
    (tmp_path / "supernet.pt").unlink()
    with pytest.raises(RequestError, match="not trained to the end"):
        supernet_speed(tmp_path)


def test_a_search_by_speed_says_that_it_is_no_top1(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searched = tmp_path / "run"
    asked = ["--space", "digits", "--objectives", "top1,macs", "--algorithm", "random", "--evaluations", "60"]
    source = f"supernet:{folder},score=speed"
    assert run(["search", *asked, "--accuracy", source, "--run", str(searched)]) == 0
    said = capsys.readouterr().out
    assert "speed %" in said and "top-1 %" not in said and "is no top-1" in said
    assert run(["report", str(searched), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8").replace("\u00a0", " ").replace("\\u00a0", " ")
    assert "judged networks by the speed of training" in page
    assert "speed of training against multiply-adds" in page.lower()
    assert "Top-1" not in page and "% top-1" not in page
