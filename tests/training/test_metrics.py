"""Metrics against counting by hand."""

import torch

from mnas_evo.training.metrics import metrics


def test_figures_are_those_counted_by_hand() -> None:
    predicted = torch.tensor([0, 0, 1, 1, 2, 2])
    labels = torch.tensor([0, 1, 1, 1, 2, 0])
    found = metrics(10 * torch.nn.functional.one_hot(predicted, 3).float(), labels)
    assert found.confusion == ((1, 0, 1), (1, 2, 0), (0, 0, 1))
    assert abs(found.top1 - 100 * 4 / 6) < 1e-4
    assert found.top5 == 100
    assert abs(found.precision - 100 * (1 / 2 + 1 + 1 / 2) / 3) < 1e-4
    assert abs(found.recall - 100 * (1 / 2 + 2 / 3 + 1) / 3) < 1e-4
    # Nearly sure of every answer, right in two thirds: off by a third.
    assert abs(found.ece - 100 / 3) < 0.1
