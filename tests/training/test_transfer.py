"""Weights to begin with: taken whole, with a classifier and a stem of their own where the task is another."""

from pathlib import Path

import pytest
import torch
from support.foreign_state_dicts import EXCITED, PLAIN, TIMM
from support.run_networks import as_if_trained, images_for, outputs

from mnas_evo.errors import DamagedFile, OtherWeights, RequestError
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.training.checkpoint import Checkpoint, save_checkpoint
from mnas_evo.training.normalisation import Normalisation
from mnas_evo.training.transfer import Pretrained, pretrained

OPTIONS = ModuleOptions(dropout=0.0, norm_momentum=0.2)


def for_task(network: Network, *, channels: int = 3, classes: int = 5, size: int = 8) -> Network:
    return network.with_task(height=size, width=size, channels=channels, classes=classes)


def of_ours(folder: Path, network: Network = EXCITED, deviation: tuple[float, ...] = (4.0, 4.0, 4.0)) -> Pretrained:
    module = as_if_trained(lower(network), options=ModuleOptions(norm_eps=0.01))
    mean = (2.0,) * network.frame.channels
    classes = tuple("abcde")[: network.frame.classes]
    save_checkpoint(
        folder / "model.pt", Checkpoint(network, classes, "letters", Normalisation(mean, deviation), module)
    )
    return pretrained(folder / "model.pt", network)


def test_the_same_task_begins_with_every_weight_and_the_eps_they_were_trained_with(tmp_path: Path) -> None:
    weights = of_ours(tmp_path)
    begun = weights.begin(EXCITED, options=OPTIONS, seed=0).eval()
    images = images_for(lower(EXCITED))
    assert torch.equal(outputs(begun, images), outputs(weights.module, images))
    assert (begun.options.norm_eps, begun.options.norm_momentum, begun.options.dropout) == (0.01, 0.2, 0.0)
    assert weights.normalisation_for(EXCITED) == weights.normalisation


def test_other_classes_get_a_fresh_classifier_of_the_seed_and_keep_the_rest(tmp_path: Path) -> None:
    weights, wanted = of_ours(tmp_path), for_task(EXCITED, classes=7, size=16)
    one, same, other = (weights.begin(wanted, options=OPTIONS, seed=seed).state_dict() for seed in (0, 0, 1))
    classifier = f"layers.{len(lower(wanted).layers) - 1}."
    for name, value in weights.module.state_dict().items():
        if name.startswith(classifier):
            assert len(one[name]) == 7 and torch.equal(one[name], same[name])
        else:
            assert torch.equal(one[name], value), name
    assert not torch.equal(one[f"{classifier}ops.2.weight"], other[f"{classifier}ops.2.weight"])


@pytest.mark.parametrize("deviation", [(4.0, 4.0, 4.0), (2.0, 4.0, 8.0)])
def test_a_stem_for_grey_sees_what_one_for_colours_sees_of_a_grey_image(
    tmp_path: Path, deviation: tuple[float, ...]
) -> None:
    weights, grey = of_ours(tmp_path, deviation=deviation), for_task(EXCITED, channels=1)
    begun = weights.begin(grey, options=OPTIONS, seed=0).eval()
    normalisation = weights.normalisation_for(grey)
    assert len(normalisation.mean) == 1
    shown = 2.0 + 50 * torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = outputs(weights.module, weights.normalisation.apply(shown.expand(-1, 3, -1, -1)))
    assert torch.allclose(outputs(begun, normalisation.apply(shown)), expected, rtol=1e-3, atol=1e-3)


def test_a_stem_for_colours_sees_what_one_for_grey_sees_of_a_grey_image(tmp_path: Path) -> None:
    grey = for_task(EXCITED, channels=1)
    weights = of_ours(tmp_path, grey, deviation=(4.0,))
    begun = weights.begin(EXCITED, options=OPTIONS, seed=0).eval()
    shown = 50 * torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = outputs(weights.module, weights.normalisation.apply(shown))
    found = outputs(begun, weights.normalisation_for(EXCITED).apply(shown.expand(-1, 3, -1, -1)))
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_state_dict_from_elsewhere_begins_a_network_for_other_classes_and_grey_images(tmp_path: Path) -> None:
    state = {name: torch.rand(shape) for name, shape in TIMM.items()}
    torch.save(state, tmp_path / "timm.pth")
    wanted = for_task(EXCITED, channels=1, classes=3)
    weights = pretrained(tmp_path / "timm.pth", wanted, norm_eps=0.02)
    assert (weights.source, weights.network.frame.classes) == ("timm", 5)
    begun = weights.begin(wanted, options=OPTIONS, seed=0)
    assert begun.options.norm_eps == 0.02
    (first, *_) = begun.state_dict().values()
    assert torch.allclose(first, _grey(state["conv_stem.weight"], weights.normalisation.deviation))


def _grey(weight: torch.Tensor, deviation: tuple[float, ...]) -> torch.Tensor:
    middle = sum(deviation) / 3
    return sum(weight[:, c : c + 1] * middle / deviation[c] for c in range(3))  # type: ignore[return-value]


def test_weights_of_other_layers_are_refused_by_name(tmp_path: Path) -> None:
    weights = of_ours(tmp_path)
    with pytest.raises(OtherWeights, match=r"are of 8x8x3/stem8/r1_k3_s11_e1_i8_o8_se0\.5"):
        weights.begin(PLAIN, options=OPTIONS, seed=0)


@pytest.mark.parametrize(
    "other",
    [
        "8x8x3/stem8_s1/r1_k3_s11_e1_o8_se0.5_noskip/r2_k5_s22_e2_o16/r1_k3_s11_e3_o16_se0.25/head24/5",
        "8x8x3/stem8/r1_k3_s11_e1_o8_se0.5/r2_k5_s22_e2_o16/r1_k3_s11_e3_o16_se0.25/head24/5",
        "8x8x3/stem8_relu6/r1_k3_s11_e1_o8_se0.5_noskip/r2_k5_s22_e2_o16/r1_k3_s11_e3_o16_se0.25/head24/5",
    ],
)
def test_layers_that_have_the_same_shapes_and_compute_something_else_are_refused(tmp_path: Path, other: str) -> None:
    with pytest.raises(OtherWeights, match="layers are others"):
        of_ours(tmp_path).begin(parse_network(other), options=OPTIONS, seed=0)


def test_a_checkpoint_is_known_by_what_it_holds_whatever_it_is_called(tmp_path: Path) -> None:
    own = of_ours(tmp_path)
    (tmp_path / "model.pt").rename(tmp_path / "model.pth")
    assert pretrained(tmp_path / "model.pth", EXCITED).normalisation == own.normalisation
    state = {name: torch.rand(shape) for name, shape in TIMM.items()}
    torch.save(state, tmp_path / "timm.pt")
    assert pretrained(tmp_path / "timm.pt", EXCITED).source == "timm"


def test_channels_that_no_stem_can_be_made_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OtherWeights, match="3 channels cannot begin one for 4"):
        of_ours(tmp_path).begin(for_task(EXCITED, channels=4), options=OPTIONS, seed=0)


def test_files_that_are_no_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is no file"):
        pretrained(tmp_path / "none.pth", EXCITED)
    (tmp_path / "broken.pt").write_bytes(b"PK nothing")
    with pytest.raises(DamagedFile, match="broken"):
        pretrained(tmp_path / "broken.pt", EXCITED)
    state = {name: torch.rand(shape) for name, shape in TIMM.items() if "classifier" not in name}
    torch.save(state, tmp_path / "headless.pth")
    with pytest.raises(OtherWeights, match=r"no classifier, classifier\.weight"):
        pretrained(tmp_path / "headless.pth", EXCITED)
    of_ours(tmp_path)
    with pytest.raises(RequestError, match="brings its own"):
        pretrained(tmp_path / "model.pt", EXCITED, norm_eps=0.1)


def test_the_fingerprint_is_the_files(tmp_path: Path) -> None:
    assert of_ours(tmp_path).fingerprint == pretrained(tmp_path / "model.pt", EXCITED).fingerprint
    assert isinstance(of_ours(tmp_path).module, GraphNetwork)
