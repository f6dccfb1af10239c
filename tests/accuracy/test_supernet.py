"""A supernet: trained exactly again, gone on with after a kill, and what it says of networks is what they do."""

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.image_folders import write_colours
from support.supernets import RECIPE, SPACE, SPACE_TEXT, Stopped, trained

from mnas_evo.accuracy.contract import Evaluator
from mnas_evo.accuracy.paths import read_paths
from mnas_evo.accuracy.spec import parse_accuracy
from mnas_evo.accuracy.supernet import STATISTICS_IMAGES, SupernetAccuracy, unchanged_supernet
from mnas_evo.accuracy.supernet_training import (
    PATHS,
    PATHS_FILE,
    SupernetRequest,
    load_supernet,
)
from mnas_evo.data.datasets import search_data
from mnas_evo.errors import DamagedFile, RequestError, RunChanged, TrainingFailed
from mnas_evo.space.named import named_network
from mnas_evo.space.space_file import load_space

NETWORKS = SPACE.networks(SPACE.sample(3, rng=np.random.default_rng(0)))
COLOURS_TEXT = SPACE_TEXT.replace("[32, 32, 1]", "[8, 8, 3]").replace("classes = 10", "classes = 2")


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "supernet.pt").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("supernet")
    trained(path)
    return path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    """The same with weights of a seed instead of a training's: two networks differ by nine images of 360."""
    path = tmp_path_factory.mktemp("drawn")
    for name in ("supernet.json", "space.toml"):
        (path / name).write_bytes((folder / name).read_bytes())
    rng = np.random.default_rng(2)
    weights = load_supernet(folder).supernet.state_dict()
    values = {name: torch.from_numpy(0.3 * rng.standard_normal(value.shape)) for name, value in weights.items()}
    torch.save({name: value.to(weights[name].dtype) for name, value in values.items()}, path / "supernet.pt")
    return path


def test_it_learns_two_colours(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 12, "batch": 6, "learning_rate": 0.01})
    data = write_colours(tmp_path / "images", ("red", "green"))
    trained(tmp_path / "supernet", SupernetRequest(COLOURS_TEXT, data, recipe))
    epochs = load_supernet(tmp_path / "supernet").form.epochs
    assert epochs[-1].train_loss < epochs[0].train_loss / 2  # 0.18 and 0.70
    assert epochs[-1].largest_top1 == epochs[-1].smallest_top1 == 100


def test_it_records_its_epochs_data_and_space(folder: Path) -> None:
    form = load_supernet(folder).form
    assert [epoch.number for epoch in form.epochs] == [1, 2, 3]
    assert form.data == "digits@96" and form.split.train == 96 and len(form.split.fingerprint) == 64
    assert load_space(str(folder / "space.toml")).fingerprint == SPACE.fingerprint
    assert not (folder / "last.ckpt").exists()


def test_it_keeps_what_each_step_trained_and_the_losses(folder: Path) -> None:
    paths = read_paths(folder / PATHS_FILE)
    steps = 96 // RECIPE.batch
    assert paths.losses.shape == (3 * steps, PATHS)
    of_epochs = paths.losses.reshape(3, -1).mean(axis=1)
    assert of_epochs == pytest.approx([epoch.train_loss for epoch in load_supernet(folder).form.epochs], rel=1e-5)
    assert np.array_equal(
        SPACE.canonical(paths.genes.reshape(-1, len(SPACE.sizes))).reshape(paths.genes.shape), paths.genes
    )
    assert len({row.tobytes() for row in paths.genes.reshape(-1, len(SPACE.sizes))}) > steps


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, folder: Path, stop_after: int) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, stop_after=stop_after)
    assert not (tmp_path / "supernet.pt").exists()
    trained(tmp_path)
    assert weights(tmp_path) == weights(folder)
    assert load_supernet(tmp_path).form.epochs == load_supernet(folder).form.epochs
    assert (tmp_path / PATHS_FILE).read_bytes() == (folder / PATHS_FILE).read_bytes()


def test_another_seed_gives_other_weights(tmp_path: Path, folder: Path) -> None:
    trained(tmp_path, SupernetRequest(SPACE_TEXT, "digits@96", RECIPE, seed=1))
    assert weights(tmp_path) != weights(folder)


def test_one_that_has_ended_is_not_trained_again(folder: Path) -> None:
    before = (folder / "supernet.pt").stat().st_mtime_ns
    trained(folder, stop_after=1)
    assert (folder / "supernet.pt").stat().st_mtime_ns == before


def test_a_folder_with_another_supernet_is_left_as_it_is(folder: Path) -> None:
    before = weights(folder)
    with pytest.raises(RequestError, match=r"seed 0, not 5; give another --out"):
        trained(folder, SupernetRequest(SPACE_TEXT, "digits@96", RECIPE, seed=5))
    with pytest.raises(RequestError, match="data 'digits@96'"):
        trained(folder, SupernetRequest(SPACE_TEXT, "digits", RECIPE))
    assert weights(folder) == before


def test_a_space_that_does_not_fit_the_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="10 classes"):
        trained(tmp_path / "no", SupernetRequest(SPACE_TEXT.replace("classes = 10", "classes = 7"), "digits", RECIPE))
    assert not (tmp_path / "no").exists()


def test_what_a_recipe_asks_for_and_a_supernet_does_not_have_is_refused(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"weight_average": 0.9, "clip_norm": 1.0})
    with pytest.raises(RequestError, match="weight_average, clip_norm, which a supernet does not have"):
        trained(tmp_path / "no", SupernetRequest(SPACE_TEXT, "digits", recipe))
    assert not (tmp_path / "no").exists()


def test_first_weights_that_a_supernet_does_not_learn_from_are_refused(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"first_weights": "he"})
    with pytest.raises(RequestError, match=r"first_weights he.*write first_weights = .dirac"):
        trained(tmp_path / "no", SupernetRequest(SPACE_TEXT, "digits", recipe))
    assert not (tmp_path / "no").exists()


@pytest.mark.filterwarnings("ignore:.*encountered")
def test_a_loss_that_leaves_the_numbers_says_what_to_try(tmp_path: Path) -> None:
    wild = RECIPE.model_copy(update={"learning_rate": 1e30, "optimizer": "sgd"})
    with pytest.raises(TrainingFailed, match=r"loss became .* lower learning rate"):
        trained(tmp_path, SupernetRequest(SPACE_TEXT, "digits@96", wild))


def test_what_it_says_is_top1_of_the_network_cut_out_with_statistics_of_training_images(drawn: Path) -> None:
    found = load_supernet(drawn)
    data = search_data("digits@96")
    network = NETWORKS[0]
    module = found.supernet.cut_out(network)
    for norm in (norm for norm in module.modules() if isinstance(norm, torch.nn.BatchNorm2d)):
        norm.momentum = 1.0  # of all training images at once, where the source has the mean of two batches
    images = found.normalisation.apply(torch.from_numpy(data.train.pixels(np.arange(96))))
    assert len(images) < STATISTICS_IMAGES
    with torch.no_grad():
        module.train()(images)
        said = module.eval()(found.normalisation.apply(torch.from_numpy(data.validation.pixels(np.arange(360)))))
    top1 = 100 * float((said.argmax(1).numpy() == data.validation.labels).mean())
    source = SupernetAccuracy.of(drawn)
    assert source.evaluate(network, seed=0).top1 == pytest.approx(top1, abs=3.0)


def test_it_is_an_evaluator_of_one_answer_whatever_the_seed_the_company_and_the_process(drawn: Path) -> None:
    source = parse_accuracy(f"supernet:{drawn}", SPACE)
    assert isinstance(source, Evaluator)
    first = [source.evaluate(network, seed=0) for network in NETWORKS]
    travelled = pickle.loads(pickle.dumps(source))
    assert [travelled.evaluate(network, seed=7).top1 for network in reversed(NETWORKS)] == [
        one.top1 for one in reversed(first)
    ]
    assert len({one.top1 for one in first}) > 1
    assert all(one.source == f"supernet:{drawn.name}" and one.seconds > 0 for one in first)


def test_a_network_outside_its_space_gives_no_result(folder: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"does not hold it.*two-blocks"):
        SupernetAccuracy.of(folder).evaluate(named_network("mnasnet-a1", task=SPACE.frame), seed=0)


def test_it_is_refused_for_another_space_and_needs_none(folder: Path) -> None:
    with pytest.raises(RequestError, match=r"another space than digits: give --space .*space\.toml"):
        parse_accuracy(f"supernet:{folder}", load_space("digits"))
    assert isinstance(parse_accuracy(f"supernet:{folder}", None), SupernetAccuracy)


def test_a_folder_without_one_or_with_an_unfinished_one_is_an_error_that_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no supernet; train one: mnas-evo supernet"):
        SupernetAccuracy.of(tmp_path)
    with pytest.raises(Stopped):
        trained(tmp_path, stop_after=1)
    with pytest.raises(RequestError, match="not trained to the end"):
        SupernetAccuracy.of(tmp_path)


def test_damaged_or_changed_files_are_named(tmp_path: Path, folder: Path) -> None:
    for name in ("supernet.json", "supernet.pt", "space.toml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    source = SupernetAccuracy.of(tmp_path)
    held = (tmp_path / "supernet.pt").read_bytes()
    unchanged_supernet.cache_clear()  # as in a process that starts only now
    torch.save({"places": torch.zeros(1)}, tmp_path / "supernet.pt")
    with pytest.raises(RunChanged, match="has changed since"):
        source.evaluate(NETWORKS[0], seed=0)
    with pytest.raises(DamagedFile, match="does not hold the weights"):
        SupernetAccuracy.of(tmp_path)
    (tmp_path / "supernet.pt").write_bytes(held[:100])
    with pytest.raises(DamagedFile, match="no torch file"):
        SupernetAccuracy.of(tmp_path)
    (tmp_path / "supernet.pt").write_bytes(held)
    (tmp_path / "space.toml").write_text(SPACE_TEXT.replace("channels = 32", "channels = 48"))
    with pytest.raises(DamagedFile, match=r"space\.toml is not the space"):
        SupernetAccuracy.of(tmp_path)


def command(out: Path, space: Path) -> list[str]:
    return [
        sys.executable, "-c", "import sys; from mnas_evo.cli.main import run; sys.exit(run(sys.argv[1:]))",
        "supernet", "--data", "digits@96", "--space", str(space), "--out", str(out), "--epochs", "6", "--seed", "2",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_seed_gives_the_same_weights_in_another_process_and_after_kills_at_three_moments(tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text(SPACE_TEXT)
    whole = [tmp_path / "one", tmp_path / "two"]
    for out in whole:
        done = subprocess.run(command(out, space), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert weights(whole[0]) == weights(whole[1])
    out = tmp_path / "killed"

    def epochs_done() -> int:
        try:
            checkpoint = torch.load(out / "last.ckpt", weights_only=True)
        except (OSError, RuntimeError, EOFError):
            return 0
        return len(checkpoint["mnas_evo_epochs"])

    moments: list[Callable[[], bool]] = [
        lambda: (out / "supernet.json").exists(),
        lambda: epochs_done() >= 1,
        lambda: epochs_done() >= 4,
    ]
    for moment in moments:
        running = subprocess.Popen(command(out, space), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while not moment():
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        assert not (out / "supernet.pt").exists()
    done = subprocess.run(command(out, space), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert weights(out) == weights(whole[0])
    assert (out / PATHS_FILE).read_bytes() == (whole[1] / PATHS_FILE).read_bytes()
    assert len(json.loads((out / "supernet.json").read_text())["epochs"]) == 6
