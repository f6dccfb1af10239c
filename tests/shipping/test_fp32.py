"""Export: what a user gets classifies as torch does, with all that is needed inside the file."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.foreign_state_dicts import EXCITED
from support.run_networks import as_if_trained, session

from mnas_evo.data.datasets import ImageSet, search_data
from mnas_evo.errors import MnasEvoError, RequestError
from mnas_evo.finalists.final_training import TrainingRequest, train_final
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.shipping.fp32 import export_onnx
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.training.checkpoint import Checkpoint, load_checkpoint
from mnas_evo.training.loop import Watching
from mnas_evo.training.normalisation import Normalisation
from mnas_evo.training.recipe import load_recipe

REQUEST = TrainingRequest(
    parse_network("32x32x1/stem8/r1_k3_s22_e3_o16_se0.25/r1_k5_s22_o24_pool_conv/head32/10"),
    "digits",
    load_recipe("quick").model_copy(update={"epochs": 2}),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("training")
    train_final(found, REQUEST)
    return found


def test_the_exported_file_classifies_as_torch_does_with_onnxruntime_alone(folder: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(folder / "model.pt")
    exported = export_onnx(checkpoint, tmp_path / "model.onnx")
    assert exported.relative_difference <= 1e-4
    runtime = session(str(exported.path))
    metadata = runtime.get_modelmeta().custom_metadata_map
    assert metadata["network"] == format_network(REQUEST.network)
    assert json.loads(metadata["classes"]) == list("0123456789")
    validation = search_data("digits").validation
    assert isinstance(validation, ImageSet)
    images = validation.images[:50]
    mean, deviation = (
        np.array(json.loads(metadata[name]), np.float32)[:, None, None] for name in ("mean", "deviation")
    )
    logits = runtime.run(None, {"images": (images.astype(np.float32) - mean) / deviation})[0]
    with torch.no_grad():
        expected = checkpoint.module(checkpoint.normalisation.apply(torch.from_numpy(images))).numpy()
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()
    onnx.checker.check_model(onnx.load(exported.path), full_check=True)


@pytest.mark.parametrize("norm_eps", [1e-5, 0.1])
def test_the_exported_file_has_the_eps_of_the_checkpoint_and_says_what_it_is(norm_eps: float, tmp_path: Path) -> None:
    module = as_if_trained(lower(EXCITED), options=ModuleOptions(norm_eps=norm_eps))
    checkpoint = Checkpoint(EXCITED, tuple("abcde"), "letters", Normalisation((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), module)
    assert export_onnx(checkpoint, tmp_path / "model.onnx").relative_difference < 1e-4
    metadata = session(str(tmp_path / "model.onnx")).get_modelmeta().custom_metadata_map
    assert metadata.keys() == {
        "network", "data", "classes", "mean", "deviation", "size", "channels", "mode", "resize", "layout", "precision",
    }  # fmt: skip
    assert (metadata["network"], metadata["data"]) == (format_network(EXCITED), "letters")
    frame = EXCITED.frame
    assert [json.loads(metadata[name]) for name in ("classes", "mean", "deviation", "size", "channels")] == [
        list("abcde"), [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [frame.height, frame.width], frame.channels,
    ]  # fmt: skip
    assert (metadata["mode"], metadata["precision"]) == ("RGB", "fp32")


def test_a_file_that_would_not_agree_is_not_written(folder: Path, tmp_path: Path) -> None:
    good = load_checkpoint(folder / "model.pt")
    broken = GraphNetwork(lower(good.network))
    with torch.no_grad():
        for parameter in broken.parameters():
            parameter.fill_(float("nan"))
    checkpoint = Checkpoint(good.network, good.classes, good.data, good.normalisation, broken.eval())
    with pytest.raises(MnasEvoError, match="not written"):
        export_onnx(checkpoint, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_folder_is_no_file_to_write(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"is a folder; give the file to write, such as .*model\.onnx"):
        export_onnx(load_checkpoint(folder / "model.pt"), tmp_path)


def test_an_ended_training_is_not_done_again_and_another_is_refused(folder: Path) -> None:
    before = (folder / "model.pt").stat().st_mtime_ns
    train_final(folder, REQUEST, watching=Watching(progress=lambda share, note: pytest.fail("trained again")))
    assert (folder / "model.pt").stat().st_mtime_ns == before
    other = TrainingRequest(REQUEST.network, "digits", REQUEST.recipe, seed=1)
    with pytest.raises(RequestError, match="another training"):
        train_final(folder, other)


def test_a_network_for_other_images_is_refused(tmp_path: Path) -> None:
    request = TrainingRequest(parse_network("stem8/r1_k3_s22_e3_o16/head32"), "digits", REQUEST.recipe)
    with pytest.raises(RequestError, match="224x224x1 and 10 classes"):
        train_final(tmp_path, request)
