"""Metrics against counting by hand and against libraries; what cannot be tested is refused by what is wrong with it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support
from support.run_networks import as_if_trained
from support.streams import Streamed
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from mnas_evo.data.images import ImageSet
from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.metrics import Answers, Metrics, evaluate_checkpoint, metrics, wilson_percent
from mnas_evo.training.normalisation import Normalisation

NETWORK = parse_network("8x8x3/stem8/r1_k3_s11_e1_o8_noskip/r1_k5_s22_e2_o16/head24/5")


def found(logits: Tensor, labels: Tensor) -> Metrics:
    return metrics(Answers.of(logits, labels))


def sure_of(predicted: list[int], classes: int) -> Tensor:
    return 10 * torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()


def test_figures_are_those_counted_by_hand() -> None:
    figures = found(sure_of([0, 0, 1, 1, 2, 2], 3), torch.tensor([0, 1, 1, 1, 2, 0]))
    assert figures.confusion == ((1, 0, 1), (1, 2, 0), (0, 0, 1))
    assert figures.top1 == pytest.approx(100 * 4 / 6)
    assert figures.top5 == 100
    assert figures.precision == pytest.approx(100 * (1 / 2 + 1 + 1 / 2) / 3)
    assert figures.recall == pytest.approx(100 * (1 / 2 + 2 / 3 + 1) / 3)
    assert [(each.support, each.predicted) for each in figures.classes] == [(2, 2), (3, 2), (1, 2)]
    # Nearly sure of every answer, right in two thirds: off by a third.
    assert figures.ece == pytest.approx(100 / 3, abs=0.1)
    assert figures.confidence == pytest.approx(100, abs=0.1)
    (only,) = figures.calibration
    assert only.images == 6 and only.right == pytest.approx(100 * 4 / 6)


def test_means_count_the_classes_that_have_test_images() -> None:
    # Class 2 has none and is predicted once; class 3 has none and is never predicted; class 1 is never predicted.
    figures = found(sure_of([0, 0, 2, 0], 4), torch.tensor([0, 0, 0, 1]))
    recall, precision = (1 * 2 / 3 + 0) / 2, (2 / 3 + 0) / 2
    assert figures.recall == pytest.approx(100 * recall)
    assert figures.precision == pytest.approx(100 * precision)
    assert [each.f1 for each in figures.classes[2:]] == [None, None]
    assert figures.classes[1].precision == figures.classes[1].recall == 0
    assert [each.predicted for each in figures.classes] == [3, 0, 1, 0]


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 12))
def test_figures_are_those_of_other_libraries(seed: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(120, classes, generator=generator)
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (120 - classes,), generator=generator)])
    figures = found(logits, labels)
    by_class = precision_recall_fscore_support(labels, logits.argmax(1), labels=range(classes), zero_division=0)
    for name, expected in zip(("precision", "recall", "f1", "support"), by_class, strict=True):
        scale = 1 if name == "support" else 100
        assert [getattr(each, name) for each in figures.classes] == pytest.approx(list(scale * expected), rel=1e-4)
    means = (figures.precision, figures.recall, figures.f1)
    assert means == pytest.approx([100 * each.mean() for each in by_class[:3]], rel=1e-4)
    expected_error = multiclass_calibration_error(logits.softmax(1), labels, num_classes=classes, n_bins=15)
    assert figures.ece == pytest.approx(100 * float(expected_error), abs=1e-3)
    assert figures.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)


@given(parts=st.lists(st.integers(1, 20), min_size=2, max_size=5))
def test_batches_change_no_figure(parts: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(sum(parts), 7, generator=generator)
    labels = torch.randint(7, (sum(parts),), generator=generator)
    joined = Answers.joined([Answers.of(*each) for each in zip(logits.split(parts), labels.split(parts), strict=True)])
    assert metrics(joined) == found(logits, labels)


@given(right=st.integers(0, 400), more=st.integers(0, 400))
def test_the_interval_holds_the_share_and_narrows_with_more_images(right: int, more: int) -> None:
    count = right + more or 1
    low, high = wilson_percent(right, count)
    assert 0 <= low <= 100 * right / count + 1e-9 and 100 * right / count - 1e-9 <= high <= 100
    lower, higher = wilson_percent(4 * right, 4 * count)
    assert higher - lower < high - low


def test_the_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I: 81 of 263, method 3.
    assert wilson_percent(81, 263) == pytest.approx((25.53, 36.62), abs=0.01)


# A checkpoint


def checkpoint(*, network: str = "") -> Checkpoint:
    chosen = parse_network(network) if network else NETWORK
    module = as_if_trained(lower(chosen))
    normalisation = Normalisation((127.0,) * chosen.frame.channels, (60.0,) * chosen.frame.channels)
    return Checkpoint(chosen, tuple("abcde"), "letters", normalisation, module)


def images(count: int = 40, *, shape: tuple[int, int, int] = (3, 8, 8), classes: int = 5) -> ImageSet:
    rng = np.random.default_rng(0)
    return ImageSet(rng.integers(0, 256, (count, *shape), np.uint8), rng.integers(0, classes, count))


def test_images_are_classified_in_batches_with_progress_and_none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, tested = checkpoint(), images(50)
    whole = evaluate_checkpoint(trained, tested)
    monkeypatch.setattr("mnas_evo.training.metrics._MOST_BATCH", 16)
    told: list[tuple[float, str]] = []
    streamed = Streamed(tested)
    in_parts = evaluate_checkpoint(trained, streamed, progress=lambda share, text: told.append((share, text)))
    assert [len(rows) for rows in streamed.asked] == [16, 16, 16, 2]
    assert [share for share, _ in told] == [0.32, 0.64, 0.96, 1.0]
    assert told[-1][1] == "50 of 50 images"
    assert in_parts.confusion == whole.confusion and in_parts.loss == pytest.approx(whole.loss, rel=1e-5)


def test_large_images_are_classified_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnas_evo.training.metrics._BATCH_ELEMENTS", 3 * lower(NETWORK).peak_elements)
    streamed = Streamed(images(7))
    evaluate_checkpoint(checkpoint(), streamed)
    assert [len(rows) for rows in streamed.asked] == [3, 3, 1]


def test_labels_given_stand_for_the_images_own() -> None:
    tested = images()
    answers = np.array([row.index(max(row)) for row in evaluate_checkpoint(checkpoint(), tested).confusion])
    assert len(answers) == 5
    as_predicted = np.zeros(len(tested), np.int64)
    assert sum(evaluate_checkpoint(checkpoint(), tested, labels=as_predicted).confusion[0]) == len(tested)


@pytest.mark.parametrize(
    ("tested", "named"),
    [
        (images(shape=(1, 8, 8)), "takes images of 3 channels, these have 1"),
        (images(shape=(3, 8, 9)), "images of 8x8, these have 8x9"),
        (images(classes=9), "knows 5 classes, 0 to 4, the images have label 8"),
        (images(0), "no test images"),
    ],
)
def test_what_does_not_fit_is_refused_by_what_differs(tested: ImageSet, named: str) -> None:
    with pytest.raises(RequestError, match=named):
        evaluate_checkpoint(checkpoint(), tested)


def test_a_network_whose_outputs_are_no_numbers_is_called_damaged() -> None:
    trained = checkpoint()
    with torch.no_grad():
        next(trained.module.parameters()).fill_(float("nan"))
    with pytest.raises(DamagedFile, match=r"not finite.*train it again"):
        evaluate_checkpoint(trained, images())
