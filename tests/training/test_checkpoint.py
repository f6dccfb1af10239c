"""Checkpoints: what is read is what was written, from elsewhere too, and what is damaged is refused by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import small_networks
from support.foreign_state_dicts import PLAIN, SOURCE_NAMES, as_trained
from support.run_networks import as_if_trained, images_for, outputs
from torch import nn

from mnas_evo.errors import DamagedFile, OtherFormat, OtherWeights, RequestError
from mnas_evo.models.torch_network import ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.training.checkpoint import (
    Checkpoint,
    checkpoint_from_weights,
    load_checkpoint,
    save_checkpoint,
    untrained,
)
from mnas_evo.training.normalisation import Normalisation


def checkpoint_of(network: Network, *, norm_eps: float) -> Checkpoint:
    module = as_if_trained(lower(network), options=ModuleOptions(norm_eps=norm_eps))
    return Checkpoint(network, ("a", "b"), "some data", Normalisation((1.0, 2.5), (0.5, 4.0)), module)


@given(network=small_networks(), norm_eps=st.sampled_from([1e-5, 1e-3, 0.1]))
@settings(max_examples=15)
def test_a_checkpoint_gives_back_the_network_and_its_outputs(
    network: Network, norm_eps: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    written = checkpoint_of(network, norm_eps=norm_eps)
    save_checkpoint(path, written)
    read = load_checkpoint(path)
    assert (read.network, read.classes, read.data) == (network, ("a", "b"), "some data")
    assert read.normalisation == written.normalisation
    images = images_for(written.module.graph)
    assert torch.equal(outputs(read.module, images), outputs(written.module, images))


def test_every_norm_of_a_checkpoint_has_the_eps_it_was_saved_with(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.pt", checkpoint_of(PLAIN, norm_eps=1e-5))
    module = load_checkpoint(tmp_path / "model.pt").module
    assert {norm.eps for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)} == {1e-5}
    assert not module.training


# Damage


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(DamagedFile, match=r"model\.pt is missing"):
        load_checkpoint(path)
    for content in (b"not a checkpoint", b"", b"\x80\x02"):
        path.write_bytes(content)
        with pytest.raises(DamagedFile, match=r"model\.pt is no"):
            load_checkpoint(path)
    torch.save({"layers.0.ops.0.conv.weight": torch.zeros(1)}, path)
    with pytest.raises(DamagedFile, match=r"model\.pt is no checkpoint"):
        load_checkpoint(path)
    torch.save({"format": 2}, path)
    with pytest.raises(OtherFormat, match="format 2"):
        load_checkpoint(path)


def test_a_checkpoint_that_was_cut_off_is_refused_by_name_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, checkpoint_of(PLAIN, norm_eps=1e-3))
    content = path.read_bytes()
    for share in range(20):
        path.write_bytes(content[: len(content) * share // 20])
        with pytest.raises(DamagedFile, match=r"model\.pt"):
            load_checkpoint(path)


ENTRIES = ("network", "classes", "data", "mean", "deviation", "norm_eps", "state")


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_checkpoint_without_one_of_its_entries_is_damaged_and_names_it(entry: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, checkpoint_of(PLAIN, norm_eps=1e-3))
    raw = torch.load(path, weights_only=True)
    torch.save({name: value for name, value in raw.items() if name != entry}, path)
    with pytest.raises(DamagedFile, match=rf"model\.pt is damaged: .*{entry}"):
        load_checkpoint(path)


WRONG: dict[str, tuple[str, Any]] = {
    "an eps of none": ("norm_eps", None),
    "an eps in words": ("norm_eps", "small"),
    "no network": ("network", "nonsense"),
    "another network": ("network", "8x8x3/stem8/r1_k3_s11_e1_o8/head8/5"),
    "one number for the mean": ("mean", 5),
    "no weights": ("state", {}),
    "weights in a list": ("state", [1.0]),
}
ESCAPES: dict[str, tuple[str, Any]] = {
    "an eps below zero": ("norm_eps", -1e-3),
    "an eps that is no number": ("norm_eps", float("nan")),
    "a number for a network": ("network", 5),
    "weights with numbers for names": ("state", {5: torch.zeros(1)}),
}


@pytest.mark.parametrize("case", [*WRONG, *ESCAPES])
def test_a_checkpoint_with_a_wrong_entry_is_damaged(case: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save_checkpoint(path, checkpoint_of(PLAIN, norm_eps=1e-3))
    entry, value = (WRONG | ESCAPES)[case]
    torch.save({**torch.load(path, weights_only=True), entry: value}, path)
    with pytest.raises(DamagedFile, match=r"model\.pt is damaged: .") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"format": 1, "state": Hostile()}, tmp_path / "model.pt")
    with pytest.raises(DamagedFile):
        load_checkpoint(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()


# Weights from elsewhere, and none


def test_weights_of_each_source_come_with_its_normalisation_eps_and_numbered_classes(tmp_path: Path) -> None:
    imagenet = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    lite = Normalisation((127.0,) * 3, (128.0,) * 3)
    expected = {"timm": (imagenet, 1e-5), "torchvision": (imagenet, 1e-5), "efficientnet_lite_pytorch": (lite, 1e-3)}
    for source, (network, shapes) in SOURCE_NAMES.items():
        torch.save(as_trained(shapes), tmp_path / "weights.pth")
        found = checkpoint_from_weights(network, tmp_path / "weights.pth")
        normalisation, norm_eps = expected[source]
        assert found.normalisation.mean == pytest.approx(normalisation.mean)
        assert found.normalisation.deviation == pytest.approx(normalisation.deviation)
        assert found.module.options.norm_eps == norm_eps
        assert (found.network, found.classes, found.data) == (network, tuple("01234"), f"weights of {source}")


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_weights_from_elsewhere_are_saved_and_loaded_as_a_checkpoint(source: str, tmp_path: Path) -> None:
    network, shapes = SOURCE_NAMES[source]
    torch.save(as_trained(shapes), tmp_path / "weights.pth")
    first = checkpoint_from_weights(network, tmp_path / "weights.pth", norm_eps=0.01)
    save_checkpoint(tmp_path / "model.pt", first)
    again = load_checkpoint(tmp_path / "model.pt")
    images = images_for(lower(network))
    assert torch.equal(outputs(first.module, images), outputs(again.module, images))
    assert again.normalisation == first.normalisation and again.module.options.norm_eps == 0.01


def test_weights_that_do_not_fit_or_are_not_there_are_refused(tmp_path: Path) -> None:
    torch.save(as_trained(SOURCE_NAMES["timm"][1]), tmp_path / "weights.pth")
    with pytest.raises(OtherWeights, match="of another shape"):
        checkpoint_from_weights(SOURCE_NAMES["timm"][0].scaled(2.0), tmp_path / "weights.pth")
    with pytest.raises(RequestError, match=r"nowhere\.pth"):
        checkpoint_from_weights(PLAIN, tmp_path / "nowhere.pth")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_untrained_network_is_the_same_for_a_seed_and_takes_images_of_its_channels(channels: int) -> None:
    network = parse_network(f"8x8x{channels}/stem8/r1_k3_s11_e2_o8/head8/3")
    one, again, other = (untrained(network, seed=seed) for seed in (4, 4, 5))
    pixels = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, channels, 8, 8)
    images = one.normalisation.apply(pixels)
    assert images.shape == (2, channels, 8, 8) and (images.min().item(), images.max().item()) == (-1, 1)
    logits = [outputs(checkpoint.module, images) for checkpoint in (one, again, other)]
    assert torch.equal(logits[0], logits[1]) and not torch.equal(logits[0], logits[2])
    assert logits[0].shape == (2, 3) and logits[0].isfinite().all()
    assert (one.classes, one.data) == (("0", "1", "2"), "none, untrained")


def test_an_untrained_network_can_be_kept_as_a_checkpoint(tmp_path: Path) -> None:
    first = untrained(PLAIN, seed=0)
    save_checkpoint(tmp_path / "model.pt", first)
    images = images_for(first.module.graph)
    assert torch.equal(outputs(load_checkpoint(tmp_path / "model.pt").module, images), outputs(first.module, images))
