"""What a CHECKPOINT|ARCH argument with --weights stands for: a trained network."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnas_evo.training.checkpoint import Checkpoint


def is_checkpoint(source: str) -> bool:
    """Whether a CHECKPOINT|ARCH argument is meant as a file of train."""
    return source.endswith(".pt")


def read_trained(source: str, *, weights: Path | None, norm_eps: float | None) -> "Checkpoint":
    """The checkpoint of a file, or an architecture with weights trained elsewhere.

    Raises:
        RequestError: weights for what brings its own, or an architecture without any.
        DamagedFile: the checkpoint cannot be read.
        OtherWeights: the weights are not the network's.
    """
    from mnas_evo.cli.architectures import read_one
    from mnas_evo.errors import RequestError
    from mnas_evo.training.checkpoint import checkpoint_from_weights, load_checkpoint

    is_file = is_checkpoint(source)
    if weights is None:
        if norm_eps is not None:
            raise RequestError("--norm-eps is for --weights; a checkpoint brings its own")
        if not is_file and not Path(source).is_file():
            raise RequestError(
                f"{source!r} is no checkpoint; give the model.pt of a training, or a network's name with --weights FILE"
            )
        return load_checkpoint(Path(source))
    if is_file:
        raise RequestError(f"{source} brings its own weights; give an architecture with --weights")
    return checkpoint_from_weights(read_one(source), weights, norm_eps=norm_eps)
