"""Trains a chosen network to the end into a folder: model.pt, training.json; killed, it goes on where it was."""

from dataclasses import dataclass
from pathlib import Path

from mnas_evo.data.datasets import Split, search_data
from mnas_evo.errors import RequestError
from mnas_evo.files import Form, only_process, read_form, versions, write_form
from mnas_evo.space.architecture import Network
from mnas_evo.space.notation import format_network
from mnas_evo.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mnas_evo.training.loop import Epoch, EpochDone, train
from mnas_evo.training.recipe import Recipe
from mnas_evo.training.task import check_fits


class TrainingForm(Form):
    """training.json: what was asked, how the images were split, and the epochs once they are done."""

    network: str
    data: str
    recipe: Recipe
    seed: int
    versions: dict[str, str]
    split: Split | None = None
    epochs: tuple[Epoch, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A final training as it is asked for."""

    network: Network
    data: str
    recipe: Recipe
    seed: int = 0


def train_final(folder: Path, request: TrainingRequest, *, epoch_done: EpochDone) -> Checkpoint:
    """Trains into a folder, or gives what an ended training left there.

    Raises:
        RequestError: the folder holds another training, or the network does not fit the data.
        InUse: another process trains into the folder.
    """
    asked = TrainingForm(
        network=format_network(request.network),
        data=request.data,
        recipe=request.recipe,
        seed=request.seed,
        versions=versions(),
    )
    with only_process(folder, doing="training into"):
        path, model = folder / "training.json", folder / "model.pt"
        if path.exists():
            found = read_form(path, TrainingForm)
            if found.model_copy(update={"epochs": (), "split": None, "versions": asked.versions}) != asked:
                raise RequestError(f"{folder} holds another training ({found.network}); give another --out")
            if model.exists():
                return load_checkpoint(model)
        frame = request.network.frame
        data = search_data(request.data, size=(frame.height, frame.width))
        check_fits(request.network, data)
        asked = asked.model_copy(update={"split": data.split})
        write_form(path, asked)
        trained = train(
            request.network,
            data=(data.train, data.validation),
            recipe=request.recipe,
            seed=request.seed,
            folder=folder,
            epoch_done=epoch_done,
            device="auto",
        )
        write_form(path, asked.model_copy(update={"epochs": trained.epochs}))
        checkpoint = Checkpoint(request.network, data.classes, data.name, trained.normalisation, trained.network)
        save_checkpoint(model, checkpoint)
        (folder / "last.ckpt").unlink(missing_ok=True)
    return checkpoint
