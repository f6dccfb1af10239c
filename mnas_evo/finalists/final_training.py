"""Trains a chosen network to the end into a folder; killed, it goes on where it was.

model.pt        the weights of the epoch that was best on the validation images (checkpoint.py)
last.pt         those of the last epoch               training.json  what was asked, and the epochs so far
logs/           for TensorBoard                       last.ckpt      where to go on, while it trains
"""

from dataclasses import dataclass
from pathlib import Path

from mnas_evo.data.datasets import SearchData, Split, search_data
from mnas_evo.errors import RequestError
from mnas_evo.files import Form, only_process, read_form, versions, write_form
from mnas_evo.space.architecture import Network
from mnas_evo.space.notation import format_network
from mnas_evo.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from mnas_evo.training.loop import Epoch, Trained, Watching, train
from mnas_evo.training.places import Place, pick_device
from mnas_evo.training.recipe import Recipe
from mnas_evo.training.task import check_fits
from mnas_evo.training.transfer import Pretrained, fingerprint_of, pretrained

MODEL, LAST, RESUME = "model.pt", "last.pt", "last.ckpt"
_PINNED = ("network", "data", "recipe", "seed", "weights", "norm_eps", "processes")


class TrainingForm(Form):
    """training.json: what was asked, how the images were split, and the epochs so far.

    `weights` is the SHA-256 of the file it began with; with other `processes` a step has other images.
    """

    network: str
    data: str
    recipe: Recipe
    seed: int
    versions: dict[str, str]
    weights: str | None
    norm_eps: float | None
    processes: int
    split: Split
    epochs: tuple[Epoch, ...] = ()

    @property
    def best(self) -> Epoch | None:
        """The epoch that model.pt is of: the first of those with most validation images right."""
        return max(self.epochs, key=lambda epoch: epoch.top1, default=None)


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A final training as it is asked for; `weights` are a file to begin with, `norm_eps` as for `pretrained`."""

    network: Network
    data: str
    recipe: Recipe
    seed: int = 0
    weights: Path | None = None
    norm_eps: float | None = None
    devices: int = 1
    nodes: int = 1

    @property
    def place(self) -> Place:
        """Where it is trained: on a GPU where there is one."""
        return Place(pick_device(), self.devices, self.nodes)


def train_final(folder: Path, request: TrainingRequest, *, watching: Watching | None = None) -> Checkpoint:
    """Trains into a folder, or gives what an ended training left there: the weights that were best in validation.

    Of a training in several processes the first alone does this; the others `follow_final`.

    Raises:
        RequestError: the folder holds another training, its images have changed since, or the network does not fit.
        OtherWeights: the weights are of other layers.
        InUse: another process trains into the folder.
    """
    with only_process(folder, doing="training into"):
        begun = _begun(folder, request)
        if begun is not None and (folder / LAST).exists():
            return load_checkpoint(folder / MODEL)
        data, weights = _read(request)
        form = _form(request, split=data.split)
        if begun is not None:
            if begun.split != form.split:
                raise RequestError(
                    f"the images of {request.data} are others than when {folder} was begun; give another --out"
                )
            form = form.model_copy(update={"epochs": begun.epochs})
        write_form(folder / "training.json", form)
        keeping = _keeping(folder, request, form, data, watching or Watching())
        trained = _train(folder, request, data, weights, watching=keeping)
        write_form(folder / "training.json", form.model_copy(update={"epochs": trained.epochs}))
        _save(folder / LAST, request, data, trained)
        (folder / RESUME).unlink(missing_ok=True)
    return load_checkpoint(folder / MODEL)


def follow_final(folder: Path, request: TrainingRequest) -> None:
    """What the other processes of a training in several do: the same steps, unless it has ended; they write nothing."""
    if not (folder / LAST).exists():
        _train(folder, request, *_read(request), watching=Watching())


def _begun(folder: Path, request: TrainingRequest) -> TrainingForm | None:
    """The training that the folder holds, if it is the one asked for.

    Raises:
        RequestError: it is another.
    """
    if not (folder / "training.json").exists():
        return None
    found = read_form(folder / "training.json", TrainingForm)
    asked = _form(request, split=found.split)
    for name in _PINNED:
        was, now = getattr(found, name), getattr(asked, name)
        if was != now:
            raise RequestError(
                f"{folder} holds another training: {name} {_short(was)}, not {_short(now)}; give another --out"
            )
    return found


def _short(value: object) -> str:
    return repr(value.name) if isinstance(value, Recipe) else repr(value)


def _read(request: TrainingRequest) -> tuple[SearchData, Pretrained | None]:
    frame = request.network.frame
    data = search_data(request.data, size=(frame.height, frame.width))
    check_fits(request.network, data)
    if request.weights is None:
        return data, None
    return data, pretrained(request.weights, request.network, norm_eps=request.norm_eps)


def _form(request: TrainingRequest, *, split: Split) -> TrainingForm:
    return TrainingForm(
        network=format_network(request.network),
        data=request.data,
        recipe=request.recipe,
        seed=request.seed,
        versions=versions(),
        weights=fingerprint_of(request.weights) if request.weights else None,
        norm_eps=request.norm_eps,
        processes=request.place.processes,
        split=split,
    )


def _train(
    folder: Path, request: TrainingRequest, data: SearchData, weights: Pretrained | None, *, watching: Watching
) -> Trained:
    return train(
        request.network,
        data=(data.train, data.validation),
        recipe=request.recipe,
        seed=request.seed,
        folder=folder,
        watching=watching,
        weights=weights,
        place=request.place,
        logs=True,
    )


def _keeping(folder: Path, request: TrainingRequest, form: TrainingForm, data: SearchData, told: Watching) -> Watching:
    """Keeps the best weights and the epochs as they come, and passes on what is told."""
    epochs = list(form.epochs)

    def epoch_done(epoch: Epoch, total: int) -> None:
        epochs[epoch.number - 1 :] = [epoch]
        write_form(folder / "training.json", form.model_copy(update={"epochs": tuple(epochs)}))
        told.epoch_done(epoch, total)

    def improved(trained: Trained) -> None:
        _save(folder / MODEL, request, data, trained)
        told.improved(trained)

    return Watching(told.progress, epoch_done, improved)


def _save(path: Path, request: TrainingRequest, data: SearchData, trained: Trained) -> None:
    checkpoint = Checkpoint(request.network, data.classes, data.name, trained.normalisation, trained.network)
    save_checkpoint(path, checkpoint)
