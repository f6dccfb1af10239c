"""The task that data set and network must agree on: image size, channels and classes."""

from mnas_evo.data.datasets import SearchData
from mnas_evo.errors import RequestError
from mnas_evo.space.architecture import Frame, Network


def task_of(data: SearchData) -> Frame:
    """The input and classes of a data set; the rest of the frame is the default's."""
    channels, height, width = data.train.shape
    return Frame(height=height, width=width, channels=channels, classes=len(data.classes))


def check_fits(network: Network, data: SearchData) -> None:
    """Whether a network can be trained on a data set as it is.

    Raises:
        RequestError: its input or classes are others.
    """
    have, want = network.frame, task_of(data)
    takes, gives = (f"{f.height}x{f.width}x{f.channels} and {f.classes} classes" for f in (have, want))
    if takes != gives:
        raise RequestError(
            f"{data.name} has images of {gives}, the network is for {takes}; choose a space or string that fits"
        )
