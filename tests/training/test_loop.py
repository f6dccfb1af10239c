"""Training: learns, repeats itself exactly, and goes on after a stop as if there had been none."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from support.streams import Streamed
from torch import Tensor, nn

from mnas_evo.data.datasets import ImageSet, search_data
from mnas_evo.errors import DamagedFile, TrainingFailed
from mnas_evo.models.fresh_weights import initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.training.feed import Feed
from mnas_evo.training.loop import Epoch, Trained, Watching, train
from mnas_evo.training.optimizer import optimizer_and_schedule
from mnas_evo.training.places import Place, pick_device
from mnas_evo.training.recipe import Recipe, load_recipe

NETWORK = parse_network("32x32x1/stem8/r1_k3_s22_e3_o16_se0.25/r2_k3_s22_e1_o16/head32/10")
RECIPE = load_recipe("quick").model_copy(update={"epochs": 4, "dropout": 0.3})


class Stopped(BaseException):
    """A kill in the middle."""


def small() -> tuple[ImageSet, ImageSet]:
    data = search_data("digits")
    validation = data.validation.rows(np.arange(0, 360, 2))
    assert isinstance(data.train, ImageSet) and isinstance(validation, ImageSet)
    return data.train, validation


def trained(
    recipe: Recipe = RECIPE, folder: Path | None = None, seed: int = 0, stop_after: int | None = None
) -> Trained:
    def epoch_done(epoch: Epoch, total: int) -> None:
        if epoch.number == stop_after:
            raise Stopped

    return train(
        NETWORK, data=small(), recipe=recipe, seed=seed, folder=folder, watching=Watching(epoch_done=epoch_done)
    )


def same(a: Trained, b: Trained) -> bool:
    states = zip(a.network.state_dict().values(), b.network.state_dict().values(), strict=True)
    return a.epochs == b.epochs and all(torch.equal(x, y) for x, y in states)


def test_it_learns_digits_and_is_the_same_for_the_same_seed() -> None:
    update = {"epochs": 5, "batch": 16, "learning_rate": 0.02, "dropout": 0.0}
    longer = trained(RECIPE.model_copy(update=update))
    assert longer.epochs[-1].top1 > 60  # 91 %, with another seed 96 %
    assert longer.epochs[-1].train_loss < longer.epochs[0].train_loss / 2  # 0.76 and 2.04
    first = trained()
    assert same(first, trained())
    assert not same(first, trained(seed=1))


def test_a_deep_network_without_skips_learns_in_few_epochs_once_it_begins_by_passing_its_channels_on() -> None:
    deep = "/".join(f"r8_k3_s22_{block}" for block in ("o8_noskip_conv", "e1_o16_noskip", "o24_noskip_conv"))
    network = parse_network(f"32x32x1/stem8/{deep}/head64/10")
    he, dirac = (
        train(network, data=small(), recipe=load_recipe("quick").model_copy(update={"epochs": 3, **first}), seed=0)
        for first in ({"first_weights": "he"}, {"first_weights": "dirac"})
    )
    assert dirac.epochs[-1].top1 > he.epochs[-1].top1 + 10  # 68 and 15 % of 180 images


def test_an_epoch_ends_where_a_plain_loop_over_its_batches_does() -> None:
    recipe = RECIPE.model_copy(update={"epochs": 1})
    module = GraphNetwork(lower(NETWORK), options=ModuleOptions(recipe.dropout, recipe.norm_momentum))
    initialise(module, seed=3, first=recipe.first_weights)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    feed = Feed(small(), recipe, seed=3)
    optimizer, schedule = optimizer_and_schedule([module.parameters()], recipe, steps=feed.steps())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(feed.epoch_seed(0))
        for images, labels in feed.training(0):
            optimizer.zero_grad()
            logits = module(feed.normalised(images))
            nn.functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing).backward()
            optimizer.step()
            schedule.step()
    found = trained(recipe, seed=3).network.state_dict()
    for name, value in module.state_dict().items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-6), name


def test_images_that_are_read_when_asked_for_train_the_same() -> None:
    training, validation = small()
    recipe = RECIPE.model_copy(update={"epochs": 2, "flip": True})
    data = Streamed(training), Streamed(validation)
    assert same(train(NETWORK, data=data, recipe=recipe, seed=0), trained(recipe))


@pytest.mark.parametrize("stop_after", [1, 2, 4])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, stop_after: int) -> None:
    with pytest.raises(Stopped):
        trained(folder=tmp_path, stop_after=stop_after)
    assert same(trained(folder=tmp_path), trained())


EVERYTHING = {
    "weight_average": 0.9, "clip_norm": 0.5, "layer_decay": 0.7, "unfreeze_epochs": 2, "precision": "bf16",
    "optimizer": "rmsprop", "learning_rate_batch": 32, "schedule": "exponential", "erase": 0.3, "flip": True,
}  # fmt: skip


@pytest.mark.parametrize("stop_after", [1, 3])
def test_with_all_that_a_recipe_can_ask_for_it_still_ends_as_one_that_was_not_stopped(
    tmp_path: Path, stop_after: int
) -> None:
    recipe = RECIPE.model_copy(update=EVERYTHING)
    with pytest.raises(Stopped):
        trained(recipe, tmp_path, stop_after=stop_after)
    assert same(trained(recipe, tmp_path), trained(recipe))


def test_averaged_weights_are_validated_and_come_back() -> None:
    seen: list[Trained] = []
    recipe = RECIPE.model_copy(update={"weight_average": 0.99})
    watching = Watching(improved=seen.append)
    found = train(NETWORK, data=small(), recipe=recipe, seed=0, watching=watching)
    plain = trained()
    assert [epoch.train_loss for epoch in found.epochs] == [epoch.train_loss for epoch in plain.epochs]
    assert found.epochs[-1].validation_loss != plain.epochs[-1].validation_loss
    assert seen and all(one.network is found.network for one in seen)
    _, validation = small()
    with torch.no_grad():
        images = torch.from_numpy(validation.images)
        right = found.network(found.normalisation.apply(images)).argmax(1) == torch.from_numpy(validation.labels)
    assert 100 * float(right.double().mean()) == pytest.approx(found.epochs[-1].top1, abs=0.6)


def test_gradients_are_cut_to_their_limit() -> None:
    still = trained(RECIPE.model_copy(update={"clip_norm": 1e-9, "optimizer": "sgd", "epochs": 1, "weight_decay": 0.0}))
    fresh = GraphNetwork(lower(NETWORK))
    initialise(fresh, seed=0, first=RECIPE.first_weights)
    moved = [torch.dist(a, b) for a, b in zip(still.network.parameters(), fresh.parameters(), strict=True)]
    assert max(moved) < 1e-6


def test_layers_thaw_from_the_classifier_to_the_stem() -> None:
    still: list[list[bool]] = []
    fresh = GraphNetwork(lower(NETWORK))
    initialise(fresh, seed=0, first=RECIPE.first_weights)

    def compare(one: Trained) -> None:
        layers = zip(one.network.layers, fresh.layers, strict=True)
        still.append([all(torch.equal(a, b) for a, b in zip(*map(state, pair), strict=True)) for pair in layers])

    def state(layer: nn.Module) -> list[Tensor]:
        return list(layer.state_dict().values())

    for epochs in (1, 2, 3):
        update = {"unfreeze_epochs": 2, "epochs": epochs, "weight_decay": 0.0}
        compare(trained(RECIPE.model_copy(update=update)))
    layers = len(fresh.layers)
    assert still[0] == [True] * (layers - 1) + [False]
    assert still[1][0] and not any(still[1][-(layers // 2) :])
    assert not any(still[2])


def test_progress_is_told_within_epochs_and_never_runs_back() -> None:
    told: list[tuple[float, str]] = []
    recipe = RECIPE.model_copy(update={"epochs": 2})
    watching = Watching(progress=lambda share, note: told.append((share, note)))
    train(NETWORK, data=small(), recipe=recipe, seed=0, watching=watching)
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 4
    assert "epoch 2 of 2, loss" in told[-1][1] and "validation top-1" in told[-1][1]


def test_logs_for_tensorboard_hold_losses_rates_and_accuracy(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = RECIPE.model_copy(update={"epochs": 2})
    found = train(NETWORK, data=small(), recipe=recipe, seed=0, folder=tmp_path, logs=True)
    events = EventAccumulator(str(tmp_path / "logs")).Reload()
    assert {"train/loss", "train/learning rate", "validation/loss", "validation/top-1"} <= set(events.Tags()["scalars"])
    logged = [event.value for event in events.Scalars("validation/top-1")]
    assert logged == pytest.approx([epoch.top1 for epoch in found.epochs], rel=1e-5)


def test_a_damaged_resume_file_is_named_and_not_trained_over(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"not what Lightning wrote")
    with pytest.raises(DamagedFile, match=r"last\.ckpt.*delete it"):
        trained(folder=tmp_path)


def test_an_interrupt_in_the_middle_stays_one(tmp_path: Path) -> None:
    def interrupt(epoch: Epoch, total: int) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, data=small(), recipe=RECIPE, seed=0, folder=tmp_path, watching=Watching(epoch_done=interrupt))
    assert signal.getsignal(signal.SIGINT) is before


def test_the_callers_random_numbers_go_on_undisturbed() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    trained(RECIPE.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.filterwarnings("ignore:.*encountered")
def test_a_loss_that_leaves_the_numbers_is_an_error_and_no_result() -> None:
    with pytest.raises(TrainingFailed, match="loss became"):
        trained(RECIPE.model_copy(update={"learning_rate": 1e30, "optimizer": "sgd"}))


@contextmanager
def memory_for(images: int) -> Iterator[None]:
    """Every network in training runs out of memory with more than so many images."""

    def check(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if isinstance(module, GraphNetwork) and module.training and len(given[0]) > images:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    handle = nn.modules.module.register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        handle.remove()


def test_a_network_for_which_memory_is_short_is_trained_in_parts_to_as_many_epochs() -> None:
    recipe = RECIPE.model_copy(update={"epochs": 2})
    with memory_for(20):
        found = trained(recipe)
    whole = trained(recipe)
    assert [epoch.number for epoch in found.epochs] == [1, 2]
    assert [epoch.train_loss for epoch in found.epochs] == pytest.approx([e.train_loss for e in whole.epochs], rel=0.1)
    assert not same(found, whole)  # batch norm saw other batches


def test_a_network_that_no_memory_is_enough_for_is_an_error_and_no_result() -> None:
    with memory_for(1), pytest.raises(TrainingFailed, match="out of memory even with 2 images"):
        trained()


def test_a_trained_network_lies_on_the_processor_as_one_that_was_not_trained_does() -> None:
    coloured = parse_network("32x32x3/stem8/r1_k3_s22_e3_o16/head32/10")
    training, validation = (ImageSet(images.images.repeat(3, axis=1), images.labels) for images in small())
    recipe = RECIPE.model_copy(update={"epochs": 1})
    network = train(coloured, data=(training, validation), recipe=recipe, seed=0).network
    assert not network.training
    untrained = GraphNetwork(lower(coloured)).parameters()
    assert [(p.device, p.stride()) for p in network.parameters()] == [(p.device, p.stride()) for p in untrained]


@pytest.mark.gpu
def test_on_a_gpu_it_learns_and_the_network_comes_back(tmp_path: Path) -> None:
    first = train(NETWORK, data=small(), recipe=RECIPE, seed=0, place=Place(pick_device()), folder=tmp_path / "one")
    assert first.epochs[-1].top1 > 30
    assert {p.device.type for p in first.network.parameters()} == {"cpu"}
    before = torch.cuda.get_rng_state()
    train(NETWORK, data=small(), recipe=RECIPE.model_copy(update={"erase": 0.5}), seed=0, place=Place("cuda:0"))
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.gpu
def test_a_batch_larger_than_a_gpus_memory_is_trained_in_parts(caplog: pytest.LogCaptureFixture) -> None:
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(200e6 / total)
    try:
        wide = parse_network("32x32x1/stem64/r1_k3_s11_e6_o64/head64/10")
        recipe = RECIPE.model_copy(update={"epochs": 1, "batch": 512})
        assert len(train(wide, data=small(), recipe=recipe, seed=0, place=Place("cuda:0")).epochs) == 1
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "out of memory" in caplog.text
