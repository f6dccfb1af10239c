"""Weights trained elsewhere: each entry lands in its own place; what does not fit, or is no state dict, is refused."""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from strategies import small_networks
from support.foreign_state_dicts import EXCITED, PLAIN, SOURCE_NAMES, TIMM, TORCHVISION, as_trained, numbered
from support.real_data import real_data
from support.run_networks import as_if_trained, images_for, outputs
from torch import Tensor

from mnas_evo.errors import DamagedFile, MnasEvoError, OtherWeights, RequestError
from mnas_evo.models.foreign_weights import SOURCES, load_network, read_state
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.named import named_network
from mnas_evo.space.notation import parse_network
from mnas_evo.training.checkpoint import save_checkpoint, untrained

# Our name and the width of every network of reference-state-dicts.json.
PUBLISHED = {
    "torchvision/mnasnet0_5": ("mnasnet-b1", 0.5),
    "torchvision/mnasnet0_75": ("mnasnet-b1", 0.75),
    "torchvision/mnasnet1_0": ("mnasnet-b1", 1.0),
    "torchvision/mnasnet1_3": ("mnasnet-b1", 1.3),
    "timm/mnasnet_050": ("mnasnet-b1", 0.5),
    "timm/mnasnet_075": ("mnasnet-b1", 0.75),
    "timm/mnasnet_100": ("mnasnet-b1", 1.0),
    "timm/mnasnet_140": ("mnasnet-b1", 1.4),
    "timm/semnasnet_050": ("mnasnet-a1", 0.5),
    "timm/semnasnet_075": ("mnasnet-a1", 0.75),
    "timm/semnasnet_100": ("mnasnet-a1", 1.0),
    "timm/semnasnet_140": ("mnasnet-a1", 1.4),
    "timm/mnasnet_small": ("mnasnet-small", 1.0),
    "timm/mnasnet_a1": ("mnasnet-a1", 1.0),
    "timm/mnasnet_b1": ("mnasnet-b1", 1.0),
    "timm/mobilenetv2_100": ("mobilenet-v2", 1.0),
    "timm/efficientnet_lite0": ("efficientnet-lite0", 1.0),
}


def numbers(module: GraphNetwork) -> list[int]:
    """The number that fills each entry of a module, in the order in which it computes."""
    tensors = module.state_dict().values()
    assert all(tensor.min() == tensor.max() for tensor in tensors)
    return [int(tensor.max()) for tensor in tensors]


def reference() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(real_data("reference-state-dicts.json").read_text())["models"]
    return found


# Names


@pytest.mark.parametrize("model", PUBLISHED)
def test_each_entry_of_a_published_network_lands_in_its_own_place(model: str) -> None:
    entry = reference()[model]
    name, width = PUBLISHED[model]
    module = load_network(named_network(name).scaled(width), numbered(entry["state"]))
    # The loading goes by names alone; both sides list their entries in the order of computing, which checks it.
    assert numbers(module) == list(range(len(entry["state"])))
    assert sum(parameter.numel() for parameter in module.parameters()) == entry["params"]


def test_every_published_network_of_the_reference_is_tried() -> None:
    assert reference().keys() == PUBLISHED.keys()


@pytest.mark.parametrize("model", PUBLISHED)
def test_another_width_of_a_published_network_is_refused(model: str) -> None:
    name, width = PUBLISHED[model]
    with pytest.raises(OtherWeights, match="of another shape"):
        load_network(named_network(name).scaled(1.1 * width + 0.2), numbered(reference()[model]["state"]))


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_each_entry_of_a_network_written_out_by_hand_lands_in_its_own_place(source: str) -> None:
    network, shapes = SOURCE_NAMES[source]
    module = load_network(network, numbered(shapes))
    assert numbers(module) == list(range(len(shapes)))
    assert not module.training


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_the_order_of_a_state_dict_does_not_matter(source: str) -> None:
    network, shapes = SOURCE_NAMES[source]
    state = numbered(shapes)
    assert numbers(load_network(network, dict(reversed(state.items())))) == list(range(len(shapes)))


@given(small_networks())
def test_the_networks_own_state_dict_loads_back_whatever_its_layers(network: Network) -> None:
    module = as_if_trained(lower(network))
    images = images_for(module.graph)
    assert torch.equal(outputs(load_network(network, module.state_dict()), images), outputs(module, images))


# What does not fit


def test_all_that_does_not_fit_is_named_in_one_error() -> None:
    state = {**numbered(TIMM), "aux.weight": torch.zeros(1), "classifier.weight": torch.zeros(7, 24)}
    del state["bn1.weight"], state["blocks.1.1.conv_dw.weight"]
    with pytest.raises(OtherWeights) as caught:
        load_network(EXCITED, state)
    assert str(caught.value) == (
        "these weights, named as timm does, are not the network's: 2 missing: bn1.weight, blocks.1.1.conv_dw.weight; "
        "1 left over: aux.weight; 1 of another shape: classifier.weight [7, 24] for [5, 24]"
    )


@pytest.mark.parametrize("count", [19, 20, 21, 50])
def test_of_many_entries_twenty_are_named_and_the_rest_counted(count: int) -> None:
    extra = [f"extra.{number:02}" for number in range(count)]
    with pytest.raises(OtherWeights) as caught:
        load_network(EXCITED, numbered(TIMM) | dict.fromkeys(extra, torch.zeros(1)))
    more = f" and {count - 20} more" if count > 20 else ""
    assert str(caught.value).endswith(f"the network's: {count} left over: {', '.join(extra[:20])}{more}")


def test_of_many_wrong_shapes_the_first_three_are_named() -> None:
    state = {name: torch.zeros(1, *tensor.shape) for name, tensor in numbered(TIMM).items()}
    with pytest.raises(OtherWeights) as caught:
        load_network(EXCITED, state)
    said = str(caught.value)
    assert "conv_stem.weight [1, 8, 3, 3, 3] for [8, 3, 3, 3]" in said
    assert said.count(" for [") == 3 and said.endswith(f"and {len(TIMM) - 3} more")


def test_weights_of_a_network_without_squeeze_and_excite_are_refused_by_what_is_missing() -> None:
    state = {name: tensor for name, tensor in numbered(TIMM).items() if ".se." not in name}
    with pytest.raises(OtherWeights, match=r"8 missing: blocks\.0\.0\.se\.conv_reduce\.weight, [^;]*$"):
        load_network(EXCITED, state)


@pytest.mark.parametrize("source", SOURCE_NAMES)
@pytest.mark.parametrize("block", ["r1_k3_s11_o8_conv", "r1_k3_s11_e2_o8_pool", "r0_s22_o16"])
def test_a_layer_that_a_source_does_not_have_is_refused_with_its_place(block: str, source: str) -> None:
    network = parse_network(f"8x8x3/stem8/r1_k3_s11_e1_o8_noskip/{block}/head24/5")
    with pytest.raises(OtherWeights, match=rf"^{source}'s networks have no layer like 2\.1, "):
        load_network(network, numbered(SOURCE_NAMES[source][1]))


@pytest.mark.parametrize(
    ("blocks", "place"),
    [
        ("r1_k3_s11_e1_o8_se0.5/r1_k3_s22_e2_o16", "1.1"),
        ("r1_k3_s11_e2_o8/r1_k3_s22_e2_o16", "1.1"),
        ("r2_k3_s11_e1_o8/r1_k3_s22_e2_o16", "1.2"),
        ("r1_k3_s11_e1_o8/r1_k3_s22_e1_o16", "2.1"),
        ("r1_k3_s11_e1_o8/r2_k3_s22_e2_o16_se0.25", "2.1"),
    ],
)
def test_a_layer_that_torchvisions_mnasnet_does_not_have_is_refused_with_its_place(blocks: str, place: str) -> None:
    with pytest.raises(OtherWeights, match=rf"^torchvision.* {re.escape(place)}, mbconv"):
        load_network(parse_network(f"8x8x3/stem8/{blocks}/head24/5"), numbered(TORCHVISION))


@pytest.mark.parametrize("state", [{"features.0.weight": torch.zeros(1)}, {}], ids=["others", "empty"])
def test_weights_with_names_of_no_known_source_name_the_known(state: Mapping[str, Tensor]) -> None:
    with pytest.raises(OtherWeights) as caught:
        load_network(EXCITED, state)
    assert all(source.name in str(caught.value) for source in SOURCES)
    assert next(iter(state), "missing") in str(caught.value)


# Batch norm's eps


def with_eps(module: GraphNetwork, norm_eps: float) -> GraphNetwork:
    """A module with the same weights whose norms have this eps."""
    other = GraphNetwork(module.graph, options=ModuleOptions(norm_eps=norm_eps))
    other.load_state_dict(module.state_dict())
    return other.eval()


@pytest.mark.parametrize(
    ("source", "norm_eps", "not_eps"),
    [("timm", 1e-5, 1e-3), ("torchvision", 1e-5, 1e-3), ("efficientnet_lite_pytorch", 1e-3, 1e-5)],
)
def test_a_network_computes_with_the_eps_of_its_source(source: str, norm_eps: float, not_eps: float) -> None:
    network, shapes = SOURCE_NAMES[source]
    module = load_network(network, as_trained(shapes))
    images = images_for(module.graph)
    found = outputs(module, images)
    assert torch.equal(found, outputs(with_eps(module, norm_eps), images))
    assert not torch.allclose(found, outputs(with_eps(module, not_eps), images), rtol=1e-3)
    assert module.options.norm_eps == norm_eps


def test_an_eps_that_is_given_goes_before_the_sources() -> None:
    module = load_network(EXCITED, as_trained(TIMM), norm_eps=0.25)
    images = images_for(module.graph)
    assert torch.equal(outputs(module, images), outputs(with_eps(module, 0.25), images))
    assert module.options.norm_eps == 0.25


# Files


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_torch_file_and_a_safetensors_file_hold_the_same(tmp_path: Path) -> None:
    state = as_trained(TIMM)
    torch.save(state, tmp_path / "weights.pth")
    save_file(state, tmp_path / "weights.safetensors")
    for name in ("weights.pth", "weights.safetensors"):
        assert equal(read_state(tmp_path / name), state), name


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "state"])
def test_what_training_scripts_wrap_around_a_state_dict_is_taken_off(wrapper: str, tmp_path: Path) -> None:
    torch.save({"epoch": 3, "arch": "mnasnet", wrapper: as_trained(TIMM)}, tmp_path / "weights.pth")
    assert equal(read_state(tmp_path / "weights.pth"), as_trained(TIMM))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_prefix_of_a_module_trained_on_several_gpus_is_taken_off(suffix: str, tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in as_trained(TIMM).items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    assert equal(read_state(path), as_trained(TIMM))


def test_a_checkpoint_of_mnas_evo_holds_a_state_dict_too(tmp_path: Path) -> None:
    checkpoint = untrained(PLAIN, seed=3)
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    module = load_network(PLAIN, read_state(tmp_path / "model.pt"))
    images = images_for(module.graph)
    assert torch.equal(outputs(module, images), outputs(checkpoint.module, images))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\x80\x02", b"PK\x03\x04", b"no weights\n", bytes(range(256)) * 40, b"\xff" * 4096],
    ids=["empty", "a null", "a pickle's begin", "a zip's begin", "text", "all bytes", "ones"],
)  # fmt: skip
def test_a_file_of_something_else_is_named_as_damaged(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=re.escape(str(path))):
        read_state(path)


@pytest.mark.parametrize(
    "form",
    [
        "zip",
        "legacy",
        "safetensors",
    ],
)
def test_a_file_that_was_cut_off_is_named_as_damaged_wherever_it_ends(form: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    if form == "safetensors":
        save_file(as_trained(TIMM), whole)
    else:
        torch.save(as_trained(TIMM), whole, _use_new_zipfile_serialization=form == "zip")
    content = whole.read_bytes()
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
    for share in range(40):
        path.write_bytes(content[: len(content) * share // 40])
        with pytest.raises(DamagedFile, match=re.escape(str(path))):
            read_state(path)


@given(
    suffix=st.sampled_from([".pth", ".safetensors"]),
    changes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1),
)
def test_a_file_with_wrong_bytes_is_read_or_is_an_error_of_ours(
    suffix: str, changes: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("changed") / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(as_trained(TIMM), path)
    else:
        save_file(as_trained(TIMM), path)
    content = bytearray(path.read_bytes())
    for place, byte in changes:
        content[place] = byte
    path.write_bytes(content)
    with contextlib.suppress(DamagedFile, OtherWeights):
        load_network(EXCITED, read_state(path))


@pytest.mark.parametrize(
    "content",
    [[1.0], 7, {"a": 1}, {"conv_stem.weight": [1.0]}, {"state_dict": 3}, {"model": {"conv_stem.weight": "x"}}],
)
def test_a_torch_file_without_a_state_dict_is_named_as_damaged(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(DamagedFile, match=r"weights\.pth is no state dict"):
        read_state(tmp_path / "weights.pth")


def test_a_pickle_that_would_run_code_is_refused_before_it_runs(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    for name, content in (("alone.pth", Hostile()), ("within.pth", {**as_trained(TIMM), "extra": Hostile()})):
        torch.save(content, tmp_path / name)
        with pytest.raises(DamagedFile, match=name):
            read_state(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["meta", "sparse"])
def test_tensors_of_a_kind_that_no_weights_have_are_an_error_of_ours(kind: str, tmp_path: Path) -> None:
    state = as_trained(TIMM)
    stem = state["conv_stem.weight"]
    state["conv_stem.weight"] = stem.to("meta") if kind == "meta" else stem.to_sparse()
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(MnasEvoError):
        load_network(EXCITED, read_state(tmp_path / "weights.pth"))


@pytest.mark.parametrize("name", ["nowhere.pth", "nowhere.safetensors", "."])
def test_a_path_that_is_no_file_says_what_to_give(name: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"is no file; give a state dict .*safetensors"):
        read_state(tmp_path / name)
