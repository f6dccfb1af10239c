"""Photographs classified by a published network: by us on torch and onnxruntime, and by its authors' package."""

from functools import cache, partial

import torch
from evidence.part import Case, Figures, Part
from support.published_network import all_photographs, check_classified_alike, published_trio

CASES = 5

shared_trio = cache(published_trio)
shared_photographs = cache(all_photographs)


def classified(number: int) -> Figures:
    """Each fifth photograph, from this one on."""
    some = shared_photographs().every(CASES, start=number)
    difference, right = check_classified_alike(*shared_trio().logits(some.batches()), some)
    return {"photographs": len(some.contents), "largest difference": difference, "right %": right}


def cases(seed: int) -> list[Case]:
    """All photographs in five parts; nothing is drawn."""
    torch.set_num_threads(1)
    return [Case(f"part {number + 1}", partial(classified, number)) for number in range(CASES)]


PART = Part(
    "photographs",
    "EfficientNet-Lite0 with its published weights classifies all 3,925 photographs as its authors' package does, "
    "on torch and on onnxruntime, and at least 90 % of them rightly.",
    cases,
)
