"""Evaluation into a folder: figures, files and pictures; classes matched by name; what does not fit is refused."""

import csv
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.image_folders import write_colours
from support.known_times import item_ms
from support.run_networks import as_if_trained

from mnas_evo.devices.fake import FakeDevice
from mnas_evo.errors import DamagedFile, DeviceError, RequestError
from mnas_evo.files import read_form
from mnas_evo.shipping.class_matching import match_classes
from mnas_evo.shipping.evaluation import EvaluationForm, evaluate
from mnas_evo.shipping.pictures import KINDS, PICTURES, draw_pictures
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.metrics import Answers, Metrics, metrics
from mnas_evo.training.normalisation import Normalisation

DIGITS = "32x32x1/stem8/r1_k3_s22_e1_o8/head16/10"
COLOURS = ("blue", "green", "red")
FILES = {"evaluation.json", "confusion.csv", "classes.csv", *(f"{n}.{kind}" for n in PICTURES for kind in KINDS)}


def checkpoint(network: str, classes: tuple[str, ...]) -> Checkpoint:
    chosen = parse_network(network)
    channels = chosen.frame.channels
    normalisation = Normalisation((127.0,) * channels, (60.0,) * channels)
    return Checkpoint(chosen, classes, "some data", normalisation, as_if_trained(lower(chosen)))


def run(folder: Path, trained: Checkpoint, data: str = "digits", *, device: FakeDevice | None = None) -> EvaluationForm:
    return evaluate(
        folder, trained, data=data, device=device or FakeDevice(item_ms), progress=quiet, torch_seconds=0.01
    )


def quiet(share: float, text: str) -> None:
    assert 0 <= share <= 1 and text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("evaluated")
    run(found, checkpoint(DIGITS, tuple("0123456789")))
    return found


def test_images_that_validated_a_training_do_not_test_it(tmp_path: Path) -> None:
    trained = replace(checkpoint(DIGITS, tuple("0123456789")), data="digits:halves@200")
    with pytest.raises(RequestError, match="other half: --data digits:halves"):
        run(tmp_path, trained, "digits")
    assert run(tmp_path, trained, "digits:halves").images == 180


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_figures_and_pictures_are_in_the_folder(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    form = read_form(folder / "evaluation.json", EvaluationForm)
    found = form.metrics
    assert form.images == sum(map(sum, found.confusion)) == 360
    assert found.top1_low is not None and found.top1_high is not None and found.top1_low < found.top1 < found.top1_high
    assert form.latency_ms > 0 and form.device.startswith("fake")
    assert form.torch_latency_ms is not None and form.torch_latency_ms > 0 and form.torch_latency_iqr_ms is not None
    by_class = rows(folder / "classes.csv")
    assert [row["class"] for row in by_class] == list("0123456789")
    assert [int(row["support"]) for row in by_class] == [sum(row) for row in found.confusion]
    assert [int(row["predicted"]) for row in by_class] == np.array(found.confusion).sum(axis=0).tolist()
    assert np.mean([float(row["f1"]) for row in by_class]) == pytest.approx(found.f1, abs=1e-3)
    matrix = [[int(row[str(k)]) for k in range(10)] for row in rows(folder / "confusion.csv")]
    assert tuple(map(tuple, matrix)) == found.confusion


def test_the_worst_classes_and_the_frequent_confusions_are_named(folder: Path) -> None:
    form = read_form(folder / "evaluation.json", EvaluationForm)
    worst = form.worst_classes(3)
    assert [each.f1 for _, each in worst] == sorted(each.f1 or 0 for each in form.metrics.classes)[:3]
    (true, other, times), *_ = form.confusions(3)
    assert true != other
    wrong = np.array(form.metrics.confusion)
    np.fill_diagonal(wrong, 0)
    assert times == wrong.max() == wrong[int(true), int(other)]


def test_progress_goes_on_through_latency_and_images(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    evaluate(
        tmp_path,
        checkpoint(DIGITS, tuple("0123456789")),
        data="digits",
        device=FakeDevice(item_ms),
        progress=lambda share, text: told.append((share, text)),
        torch_seconds=0.01,
    )
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1
    assert told[-1][1] == "360 of 360 images" and any("torch" in text for _, text in told)


def test_a_device_that_fails_does_so_before_images_are_classified(tmp_path: Path) -> None:
    device = FakeDevice(item_ms, dies_after=3)
    with pytest.raises(DeviceError):
        run(tmp_path, checkpoint(DIGITS, tuple("0123456789")), device=device)
    assert not (tmp_path / "evaluation.json").exists()


def test_classes_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    data = write_colours(tmp_path / "data", COLOURS)  # folders come in the order of their names
    network = "8x8x3/stem8/r1_k3_s11_e1_o8/head8/3"
    plain = run(tmp_path / "plain", checkpoint(network, COLOURS), data)
    turned = run(tmp_path / "turned", checkpoint(network, ("red", "blue", "green")), data)
    assert plain.classes_said == "" and "by name" in turned.classes_said
    assert turned.class_names == ("red", "blue", "green")
    support = {n: each.support for n, each in zip(turned.class_names, turned.metrics.classes, strict=True)}
    assert support == {"blue": 2, "green": 3, "red": 4}
    assert [each.predicted for each in turned.metrics.classes] == [each.predicted for each in plain.metrics.classes]


def test_data_of_other_channels_classes_or_names_are_refused(tmp_path: Path) -> None:
    data = write_colours(tmp_path / "data", COLOURS)
    with pytest.raises(RequestError, match="takes images of 3 channels, these have 1"):
        run(tmp_path, checkpoint("8x8x3/stem8/r1_k3_s11_e1_o8/head8/10", tuple("0123456789")))
    with pytest.raises(RequestError, match=r"has 3 classes \(blue, green, red\), the network 10 \(0, 1, 2 \.\.\.\)"):
        run(tmp_path, checkpoint("8x8x3/stem8/r1_k3_s11_e1_o8/head8/10", tuple("0123456789")), data)
    with pytest.raises(RequestError, match=r"does not know \(green\); it knows blue, grey, red"):
        run(tmp_path, checkpoint("8x8x3/stem8/r1_k3_s11_e1_o8/head8/3", ("blue", "grey", "red")), data)
    assert not (tmp_path / "evaluation.json").exists()


def test_a_test_split_without_images_is_told(tmp_path: Path) -> None:
    data = write_colours(tmp_path / "data", COLOURS)
    for path in (tmp_path / "data" / "test").rglob("*.png"):
        path.unlink()
    with pytest.raises(DamagedFile, match="no images in test"):
        run(tmp_path, checkpoint("8x8x3/stem8/r1_k3_s11_e1_o8/head8/3", COLOURS), data)


# Classes


def matched(
    known: tuple[str, ...], classes: tuple[str, ...], *, of: int = 0
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    network = f"8x8x3/stem8/r1_k3_s11_e1_o8/head8/{of or len(known)}"
    found = match_classes(checkpoint(network, known), classes, data="data")
    return found.names, found.places


def test_classes_are_matched_by_name_else_by_number() -> None:
    assert matched(("a", "b"), ("a", "b")) == (("a", "b"), (0, 1))
    assert matched(("c", "a", "b"), ("a", "c")) == (("c", "a", "b"), (1, 0))
    numbers = tuple(map(str, range(12)))
    in_folders = tuple(sorted(numbers))  # 0, 1, 10, 11, 2 ...
    assert matched(numbers, in_folders) == (numbers, tuple(map(int, in_folders)))
    assert matched(("x", "y", "z"), ("0", "1", "2")) == (("x", "y", "z"), (0, 1, 2))
    assert matched(("0", "1"), ("cat", "dog")) == (("cat", "dog"), (0, 1))


@pytest.mark.parametrize(
    ("known", "classes"),
    [
        (tuple("0123456789"), ("0", "1")),  # other data's numbers mean something else
        (("a", "b", "c"), ("a", "d")),
        (("a", "b"), ("c", "d")),
        (("crane", "crane"), ("crane", "bird")),
    ],
)
def test_other_classes_are_refused(known: tuple[str, ...], classes: tuple[str, ...]) -> None:
    with pytest.raises(RequestError):
        matched(known, classes)


def test_a_checkpoint_that_names_fewer_classes_than_it_has_is_damaged() -> None:
    with pytest.raises(DamagedFile, match="names 2 classes and its network has 5"):
        matched(("a", "b"), ("a", "b"), of=5)


# Pictures

ODD_NAMES = (
    "$x_1$ costs $5", "a<b>&\"c'", "a name that is far too long for any axis of a picture", "", "two\nlines\x01\x7f",
    "{braces}", "\\frac{1}{0}", "_under", "\u732b", "\udcff", "%s %d", "same", "same",
)  # fmt: skip


def figures(classes: int, *, tested: int | None = None) -> Metrics:
    generator = torch.Generator().manual_seed(classes)
    labels = torch.randint(tested or classes, (20 * classes,), generator=generator)
    logits = torch.randn(len(labels), classes, generator=generator)
    logits[torch.arange(len(labels)), labels] += 2.5
    return metrics(Answers.of(logits, labels))


@pytest.mark.parametrize("classes", [2, 41, 130])
def test_pictures_are_drawn_of_few_and_of_many_classes(classes: int, tmp_path: Path) -> None:
    written = draw_pictures(tmp_path, figures(classes), [f"class {number}" for number in range(classes)])
    assert [path.name for path in written] == [f"{name}.{kind}" for name in PICTURES for kind in KINDS]
    for path in written:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert min(picture.size) > 400 and max(picture.size) < 4000
        else:
            ET.parse(path)
    words = svg_words(tmp_path / "confusion.svg")
    assert "class 1" in words or classes > 120
    assert any(word.isdecimal() for word in words - {"0", "1", "5", "20", "50", "100"}) == (classes <= 40)


def svg_words(path: Path) -> set[str]:
    return {(element.text or "").strip() for element in ET.parse(path).iter() if element.tag.endswith("text")}


def test_names_that_are_no_plain_words_break_no_picture(tmp_path: Path) -> None:
    draw_pictures(tmp_path, figures(len(ODD_NAMES)), ODD_NAMES)
    words = svg_words(tmp_path / "confusion.svg")
    assert {"$x_1$ costs $5", "a<b>&\"c'", "{braces}", "(no name)", "two lines??", "\u732b", "?"} <= words
    assert all(len(word) <= 60 for word in words)


def test_classes_without_test_images_and_a_perfect_network_have_pictures(tmp_path: Path) -> None:
    draw_pictures(tmp_path, figures(6, tested=3), list("abcdef"))
    assert any("without test images" in word for word in svg_words(tmp_path / "confusion.svg"))
    labels = torch.arange(3)
    perfect = metrics(Answers.of(100 * torch.eye(3), labels))
    assert perfect.top1 == perfect.confidence == 100
    draw_pictures(tmp_path, perfect, list("abc"))


def test_the_same_figures_give_the_same_files_and_the_users_style_stays(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    for name in ("one", "two"):
        draw_pictures(tmp_path / name, figures(5), list("abcde"))
    assert dict(matplotlib.rcParams) == before
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_a_file_where_the_folder_should_be_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("something")
    with pytest.raises(RequestError, match="is no folder"):
        run(tmp_path / "out", checkpoint(DIGITS, tuple("0123456789")))
