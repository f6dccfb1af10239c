"""A supernet that trains in a second or two, for tests."""

from pathlib import Path

from mnas_evo.accuracy.supernet_training import SupernetEpoch, SupernetRequest, TrainedSupernet, train_supernet
from mnas_evo.space.space_file import parse_space
from mnas_evo.training.recipe import load_recipe

SPACE_TEXT = """
format = 1
name = "two-blocks"
input = [32, 32, 1]
classes = 10
stem = { channels = 8, stride = 2 }
head = 32

[choices]
op = ["conv", "dconv", "mbconv_e2"]
kernel = [3, 5]
se_ratio = [0.0, 0.25]
skip = ["pool", "identity"]
filters = [0.5, 1.0]
layers = [-1, 0]

[[blocks]]
channels = 16
layers = 2
stride = 2

[[blocks]]
channels = 32
layers = 2
stride = 2
"""
SPACE = parse_space(SPACE_TEXT, source="two-blocks")
RECIPE = load_recipe("supernet").model_copy(update={"epochs": 3, "batch": 16, "dropout": 0.1})
REQUEST = SupernetRequest(SPACE_TEXT, "digits@96", RECIPE)


class Stopped(BaseException):
    """A kill in the middle."""


def trained(folder: Path, request: SupernetRequest = REQUEST, *, stop_after: int | None = None) -> TrainedSupernet:
    def epoch_done(epoch: SupernetEpoch, total: int) -> None:
        if epoch.number == stop_after:
            raise Stopped

    return train_supernet(folder, request, epoch_done=epoch_done, device="cpu")
