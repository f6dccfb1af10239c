"""Speed of networks cut out of a supernet: what their own first steps and the supernet's say together."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.supernets import RECIPE, SPACE, SPACE_TEXT, trained

from mnas_evo.accuracy import cut_out_speed
from mnas_evo.accuracy.contract import Evaluator, is_speed
from mnas_evo.accuracy.cut_out_speed import KEPT, CutOutSpeed
from mnas_evo.accuracy.evaluating import evaluating
from mnas_evo.accuracy.paths import read_paths, write_paths
from mnas_evo.accuracy.spec import parse_accuracy
from mnas_evo.accuracy.supernet import unchanged_supernet
from mnas_evo.accuracy.supernet_speed import supernet_speed
from mnas_evo.accuracy.supernet_training import PATHS_FILE, SupernetForm, SupernetRequest, load_supernet
from mnas_evo.data.datasets import search_data
from mnas_evo.data.images import Images
from mnas_evo.errors import DamagedFile, RequestError, RunChanged, TrainingFailed
from mnas_evo.files import read_form, write_form
from mnas_evo.models.fresh_weights import initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.training.loop import Beginning
from mnas_evo.training.recipe import Recipe

GENES = SPACE.sample(3, rng=np.random.default_rng(0))
NETWORKS = SPACE.networks(GENES)
PLAIN = RECIPE.model_copy(update={"dropout": 0.0, "shift_pixels": 0, "epochs": 2})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("supernet")
    trained(path, SupernetRequest(SPACE_TEXT, "digits@96", PLAIN))
    return path


def copied(folder: Path, to: Path) -> Path:
    for name in ("supernet.json", "supernet.pt", "space.toml", PATHS_FILE):
        (to / name).write_bytes((folder / name).read_bytes())
    return to


@pytest.mark.parametrize("number", range(3))
def test_of_one_step_it_is_the_loss_of_shrunk_and_fresh_weights_and_what_the_supernet_tells(
    folder: Path, number: int
) -> None:
    found, data, seed = load_supernet(folder), search_data("digits@96", size=(32, 32)), 7
    cut, module = (
        found.supernet.cut_out(NETWORKS[number]),
        GraphNetwork(lower(NETWORKS[number]), options=ModuleOptions(dropout=0.0)),
    )
    initialise(module, seed=seed, first="dirac")
    mixed = {
        name: KEPT * dict(cut.named_parameters())[name].detach() + (1 - KEPT) * fresh.detach()
        for name, fresh in module.named_parameters()
    }
    module.load_state_dict(mixed, strict=False)
    rows = np.random.default_rng(0).permutation(96)[: PLAIN.batch]
    images = found.normalisation.apply(torch.from_numpy(data.train.pixels(rows)))
    labels = torch.from_numpy(data.train.labels[rows])
    with torch.no_grad():
        own = float(F.cross_entropy(module.train()(images), labels, label_smoothing=PLAIN.label_smoothing))
    told = -np.log(supernet_speed(folder).predict(GENES[number : number + 1]).value[0] / 100)
    said = CutOutSpeed.of(folder, steps=1).evaluate(NETWORKS[number], seed=seed).top1
    assert said == pytest.approx(100 * np.exp(-(own + told) / 2), rel=1e-4)


def test_it_learns_as_it_goes_on_also_for_more_steps_than_there_are_images_for(folder: Path) -> None:
    images = len(search_data("digits@96").train)
    one, many = (
        CutOutSpeed.of(folder, steps=steps).evaluate(NETWORKS[0], seed=0).top1
        for steps in (1, 6 * images // PLAIN.batch + 1)
    )
    assert many > one


@pytest.mark.parametrize(("steps", "trained"), [(1, (1, 1)), (6, (6, 1)), (7, (4, 2)), (40, (6, 7))])
def test_steps_are_as_few_epochs_of_whole_batches_as_hold_them(
    folder: Path, steps: int, trained: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def loss(network: Network, images: Images, *, recipe: Recipe, seed: int, weights: Beginning) -> float:
        seen.append((len(images) / recipe.batch, recipe.epochs))
        return 1.0

    monkeypatch.setattr(cut_out_speed, "learning_loss", loss)
    CutOutSpeed.of(folder, steps=steps).evaluate(NETWORKS[0], seed=3)
    assert seen == [trained]


def test_it_is_an_evaluator_with_an_answer_for_a_seed_whatever_the_company(folder: Path) -> None:
    source = parse_accuracy(f"supernet:{folder},score=speed,steps=3", SPACE)
    assert isinstance(source, Evaluator) and isinstance(source, CutOutSpeed)
    first = [source.evaluate(network, seed=4) for network in NETWORKS]
    assert [source.evaluate(network, seed=4).top1 for network in reversed(NETWORKS)] == [
        one.top1 for one in reversed(first)
    ]
    assert len({one.top1 for one in first}) == 3
    assert source.evaluate(NETWORKS[0], seed=5).top1 != first[0].top1
    assert all(one.source == f"supernet:{folder.name},score=speed,steps=3" and one.seconds > 0 for one in first)
    assert is_speed(source.source)


@pytest.mark.slow
def test_other_processes_give_the_same_answers(folder: Path) -> None:
    source = CutOutSpeed.of(folder, steps=3)
    with evaluating(source, workers=2) as evaluate:
        elsewhere = dict(evaluate([(network, 4) for network in NETWORKS]))
    here = [source.evaluate(network, seed=4) for network in NETWORKS]
    assert [elsewhere[number] for number in range(3)] == [replace(one, seconds=ANY) for one in here]


def test_it_needs_no_space_and_its_fingerprint_follows_steps_weights_and_losses(tmp_path: Path, folder: Path) -> None:
    prints = {parse_accuracy(f"supernet:{folder},score=speed,steps={n}", None).fingerprint for n in (3, 3, 4)}
    paths = read_paths(copied(folder, tmp_path) / PATHS_FILE)
    write_paths(tmp_path / PATHS_FILE, type(paths)(paths.genes, paths.losses + np.float32(0.5)))
    prints.add(CutOutSpeed.of(tmp_path, steps=3).fingerprint)
    (tmp_path / PATHS_FILE).write_bytes((folder / PATHS_FILE).read_bytes())
    weights = load_supernet(folder).supernet.state_dict()
    torch.save({name: value * 1.5 for name, value in weights.items()}, tmp_path / "supernet.pt")
    prints.add(CutOutSpeed.of(tmp_path, steps=3).fingerprint)
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (",score=speed,steps=0", "steps is a whole number of 1 or more, not '0'"),
        (",score=speed,steps=", "steps is a whole number of 1 or more, not ''"),
        (",score=speed,steps=2.5", "steps is a whole number of 1 or more, not '2.5'"),
        (",steps=5", "steps are for score=speed"),
        (",score=top1,steps=5", "steps are for score=speed"),
        (",score=fast,steps=5", "score is top1 or speed, not 'fast'"),
        (",score=speed,steps=" + "9" * 5_000, "steps is a whole number of 1 or more, not '9{20}'"),
        (",score=speed,stops=5", r"cannot read the options of .*stops=5': it is .*steps=24"),
        (",score=speed,steps=5,steps=6", "cannot read the options"),
        (",score=speed, steps=5", "cannot read the options"),
    ],
)
def test_options_that_mean_nothing_are_refused(folder: Path, options: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        parse_accuracy(f"supernet:{folder}{options}", SPACE)


def test_a_network_outside_its_space_gives_no_result(folder: Path) -> None:
    source = CutOutSpeed.of(folder, steps=2)
    with pytest.raises(TrainingFailed, match=r"does not hold it.*two-blocks"):
        source.evaluate(named_network("mnasnet-a1", task=SPACE.frame), seed=0)


def test_weights_or_losses_that_changed_since_are_not_used(tmp_path: Path, folder: Path) -> None:
    source = CutOutSpeed.of(copied(folder, tmp_path), steps=2)
    unchanged_supernet.cache_clear()  # as in a process that starts only now
    torch.save({"places": torch.zeros(1)}, tmp_path / "supernet.pt")
    with pytest.raises(RunChanged, match="has changed since"):
        source.evaluate(NETWORKS[0], seed=0)
    paths = read_paths(copied(folder, tmp_path) / PATHS_FILE)
    write_paths(tmp_path / PATHS_FILE, type(paths)(paths.genes, paths.losses + np.float32(0.5)))
    with pytest.raises(RunChanged, match="has changed since"):
        source.evaluate(NETWORKS[0], seed=0)


def test_images_that_changed_since_are_not_trained_on(tmp_path: Path, folder: Path) -> None:
    form = read_form(copied(folder, tmp_path) / "supernet.json", SupernetForm)
    other = replace(form.split, fingerprint="0" * 64)
    write_form(tmp_path / "supernet.json", form.model_copy(update={"split": other}))
    for source in ("", ",score=speed,steps=2"):
        with pytest.raises(RunChanged, match=r"digits@96 has other images than when .* was trained; train it again"):
            parse_accuracy(f"supernet:{tmp_path}{source}", SPACE)


def test_a_folder_that_holds_none_or_a_damaged_one_says_what_to_do(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RequestError, match="holds no supernet; train one"):
        CutOutSpeed.of(tmp_path, steps=2)
    copied(folder, tmp_path)
    (tmp_path / "supernet.pt").write_bytes((folder / "supernet.pt").read_bytes()[:100])
    with pytest.raises(DamagedFile, match="no torch file"):
        CutOutSpeed.of(tmp_path, steps=2)
    copied(folder, tmp_path)
    (tmp_path / PATHS_FILE).unlink()
    with pytest.raises(RequestError, match="losses were not kept; train it again"):
        CutOutSpeed.of(tmp_path, steps=2)
