"""Final training: into a folder, killed and gone on with, the best weights and the last, and nothing mixed up."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.image_folders import write_colours

from mnas_evo.data import datasets, sources
from mnas_evo.data.datasets import search_data
from mnas_evo.errors import InUse, RequestError
from mnas_evo.files import only_process, read_form
from mnas_evo.finalists.final_training import TrainingForm, TrainingRequest, train_final
from mnas_evo.space.notation import parse_network
from mnas_evo.training import loop
from mnas_evo.training.checkpoint import load_checkpoint
from mnas_evo.training.loop import Epoch, Watching
from mnas_evo.training.metrics import evaluate_checkpoint
from mnas_evo.training.recipe import load_recipe

NETWORK = parse_network("32x32x1/stem8/r1_k3_s22_e3_o16_se0.25/r1_k5_s22_o24_pool_conv/head32/10")
RECIPE = load_recipe("quick").model_copy(update={"epochs": 3, "weight_average": 0.9, "batch": 32})
REQUEST = TrainingRequest(NETWORK, "digits@400", RECIPE)


class Killed(BaseException):
    """A kill in the middle."""


def kill_after(number: int) -> Watching:
    def epoch_done(epoch: Epoch, total: int) -> None:
        if epoch.number == number:
            raise Killed

    return Watching(epoch_done=epoch_done)


def states(folder: Path) -> list[dict[str, torch.Tensor]]:
    return [load_checkpoint(folder / name).module.state_dict() for name in ("model.pt", "last.pt")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train_final(folder, REQUEST)
    return folder


@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_after_any_epoch_it_leaves_the_same_files_in_the_end(whole: Path, tmp_path: Path, number: int) -> None:
    with pytest.raises(Killed):
        train_final(tmp_path, REQUEST, watching=kill_after(number))
    assert (tmp_path / "training.json").exists() and not (tmp_path / "last.pt").exists()
    train_final(tmp_path, REQUEST)
    for found, expected in zip(states(tmp_path), states(whole), strict=True):
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    forms = [read_form(folder / "training.json", TrainingForm) for folder in (tmp_path, whole)]
    assert forms[0] == forms[1]
    assert not (tmp_path / "last.ckpt").exists()


def test_the_epochs_so_far_stand_in_the_folder_while_it_trains(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train_final(tmp_path, REQUEST, watching=Watching(epoch_done=lambda epoch, total: stop(epoch)))
    assert [epoch.number for epoch in read_form(tmp_path / "training.json", TrainingForm).epochs] == [1, 2]


def stop(epoch: Epoch) -> None:
    if epoch.number == 2:
        raise Killed


def test_model_pt_has_the_weights_that_were_first_among_the_best_in_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top1 = (50.0, 80.0, 60.0, 80.0)

    def scripted(number: int, train_loss: float, validation_loss: float, _: float) -> Epoch:
        return Epoch(number, train_loss, validation_loss, top1[number - 1])

    monkeypatch.setattr(loop, "Epoch", scripted)
    train_final(tmp_path, replace(REQUEST, recipe=RECIPE.model_copy(update={"epochs": len(top1)})))
    form = read_form(tmp_path / "training.json", TrainingForm)
    losses = [epoch.validation_loss for epoch in form.epochs]
    assert form.best == form.epochs[1]
    validation = search_data("digits@400").validation
    for name, epoch in (("model.pt", 1), ("last.pt", 3)):
        found = evaluate_checkpoint(load_checkpoint(tmp_path / name), validation).loss
        assert found == pytest.approx(losses[epoch], rel=1e-4)
        assert all(abs(found / other - 1) > 1e-3 for i, other in enumerate(losses) if i != epoch)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"data": "digits@300"}, "'digits@400', not 'digits@300'"),
        ({"recipe": load_recipe("digits")}, "recipe 'quick', not 'digits'"),
        ({"network": parse_network("32x32x1/stem8/r1_k3_s22_e3_o16/head32/10")}, "network"),
        ({"devices": 2}, "processes 1, not 2"),
        ({"norm_eps": 0.1}, "norm_eps None, not 0.1"),
        ({"weights": Path(__file__)}, "weights None, not"),
    ],
)
def test_another_training_in_the_folder_is_refused_by_what_differs(
    whole: Path, change: dict[str, object], named: str
) -> None:
    with pytest.raises(RequestError, match="another training") as caught:
        train_final(whole, replace(REQUEST, **change))  # type: ignore[arg-type]
    assert named in str(caught.value)


def test_a_folder_that_another_process_trains_into_is_left_alone(tmp_path: Path) -> None:
    with only_process(tmp_path, doing="training into"), pytest.raises(InUse, match="another process"):
        train_final(tmp_path, REQUEST)


def test_a_training_that_begins_with_a_checkpoint_starts_where_that_ended(whole: Path, tmp_path: Path) -> None:
    still = RECIPE.model_copy(update={"epochs": 1, "learning_rate": 1e-12})  # far below a weight's rounding
    train_final(tmp_path / "from", TrainingRequest(NETWORK, "digits@400", still, weights=whole / "model.pt"))
    train_final(tmp_path / "fresh", TrainingRequest(NETWORK, "digits@400", still))
    begun, fresh = (read_form(tmp_path / name / "training.json", TrainingForm) for name in ("from", "fresh"))
    assert begun.weights is not None and fresh.weights is None
    assert same_parameters(tmp_path / "from" / "last.pt", whole / "model.pt")
    assert not same_parameters(tmp_path / "fresh" / "last.pt", whole / "model.pt")
    another = TrainingRequest(NETWORK, "digits@400", still, weights=tmp_path / "fresh" / "model.pt")
    with pytest.raises(RequestError, match="another training: weights"):
        train_final(tmp_path / "from", another)


def same_parameters(one: Path, other: Path) -> bool:
    pairs = zip(*(load_checkpoint(path).module.parameters() for path in (one, other)), strict=True)
    return all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in pairs)


def test_images_that_changed_since_a_stop_are_not_trained_on_unsaid(tmp_path: Path) -> None:
    data = write_colours(tmp_path / "images", ("red", "green"))
    request = TrainingRequest(parse_network("8x8x3/stem8/r1_k3_s22_e3_o16/head32/2"), data, RECIPE)
    with pytest.raises(Killed):
        train_final(tmp_path / "out", request, watching=kill_after(1))
    for number in range(4):
        shutil.copy(
            tmp_path / "images" / "train" / "red" / "0.png", tmp_path / "images" / "train" / "red" / f"z{number}.png"
        )
    forget_sources()
    with pytest.raises(RequestError, match="others than when"):
        train_final(tmp_path / "out", request)


def forget_sources() -> None:
    """What another process would not remember."""
    for module in (datasets, sources):
        for found in vars(module).values():
            if hasattr(found, "cache_clear"):
                found.cache_clear()
