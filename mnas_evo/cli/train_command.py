"""`mnas-evo train`: final training, of one network or of several finalists with several seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnas_evo.cli.terminal import DATA_HELP, print_table, stage, tell

if TYPE_CHECKING:
    from mnas_evo.finalists.final_training import TrainingRequest


def train(
    arch: Annotated[
        list[str], typer.Argument(help="A name, a string, or RUN#rank; several are trained one after the other.")
    ],
    data: Annotated[
        str, typer.Option(help=f"{DATA_HELP} :halves before that: all train, half of the test images validate.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for model.pt, last.pt, training.json and logs/ (TensorBoard); one that exists is gone on "
            "with. Of several trainings each gets a folder in it."
        ),
    ],
    recipe: Annotated[
        str,
        typer.Option(
            help="A recipe's name (quick, fashion-mnist, cifar10, finetune, imagenet-modern, imagenet-paper, ...) or "
            "TOML file."
        ),
    ] = "quick",
    width: Annotated[float, typer.Option(help="Stem and blocks so many times as wide, as .35 to 1.4.")] = 1.0,
    resolution: Annotated[
        int | None, typer.Option(help="Height and width that images are brought to; their own if not given.", min=1)
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights to begin with: a model.pt, or a state dict of torchvision, timm or efficientnet_lite_pytorch "
            "(.pth, .safetensors). Another number of classes gets a new classifier, grey images a summed stem."
        ),
    ] = None,
    norm_eps: Annotated[
        float | None,
        typer.Option(help="Batch norm's eps in those weights, where it is not the source's.", min=0.0, max=0.5),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's own.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.", min=0, max=2**31 - 1)] = 0,
    seeds: Annotated[int, typer.Option(help="Trainings of each network, with seeds from --seed on.", min=1)] = 1,
    workers: Annotated[int, typer.Option(help="Trainings at a time, of several; one thread each.", min=1)] = 1,
    devices: Annotated[
        int, typer.Option(help="GPUs that train it together; without one, processes of the processor.", min=1)
    ] = 1,
    nodes: Annotated[
        int, typer.Option(help="Machines; start the command on each as Lightning's or SLURM's guides say.", min=1)
    ] = 1,
) -> None:
    """Train to the end. Stopped or killed, the same command goes on with the epoch it was at, and ends the same.

    model.pt has the weights of the epoch that classified most validation images, last.pt those of the last one. A GPU
    is used where there is one. With --devices or --nodes each takes a batch of its own at a step; a recipe with
    learning_rate_batch scales its learning rate with them.

    Examples: mnas-evo train runs/one#3 --data fashion-mnist --recipe fashion-mnist --out models/one;
    mnas-evo train efficientnet-lite0 --weights lite0.pth --data cifar10 --resolution 96 --recipe finetune --out lite0;
    mnas-evo train runs/one#2 runs/one#3 --seeds 3 --workers 2 --data fashion-mnist --out finalists
    """
    from mnas_evo.cli.architectures import read_one
    from mnas_evo.data.datasets import search_data
    from mnas_evo.errors import RequestError
    from mnas_evo.finalists.final_training import MODEL, TrainingRequest, follow_final, train_final
    from mnas_evo.training.loop import Watching
    from mnas_evo.training.places import is_first_process
    from mnas_evo.training.recipe import load_recipe
    from mnas_evo.training.task import task_of

    chosen = load_recipe(recipe)
    if epochs is not None:
        chosen = chosen.with_epochs(epochs)
    if norm_eps is not None and weights is None:
        raise RequestError("--norm-eps is for --weights")
    if workers > 1 and devices * nodes > 1:
        raise RequestError("several --workers train several networks, several --devices one together: give one of them")
    if workers > 1 and len(arch) * seeds == 1:
        raise RequestError("--workers are for several trainings: give several networks or --seeds")
    task = task_of(search_data(data, size=(resolution, resolution) if resolution else None))
    requests: dict[str, TrainingRequest] = {}
    for number, text in enumerate(arch, start=1):
        network = read_one(text, task=task)
        if resolution is not None:
            network = network.with_task(
                height=resolution, width=resolution, channels=network.frame.channels, classes=network.frame.classes
            )
        network = network.scaled(width) if width != 1.0 else network
        name = _name(text, number)
        requests[f"{number}-{name}" if name in requests else name] = TrainingRequest(
            network, data, chosen, seed, weights=weights, norm_eps=norm_eps, devices=devices, nodes=nodes
        )
    if len(requests) * seeds > 1:
        _several(out, requests, seeds=range(seed, seed + seeds), workers=workers)
        return
    (request,) = requests.values()
    if not is_first_process(request.place):
        follow_final(out, request)
        return
    with stage("training") as report:
        train_final(out, request, watching=Watching(report))
    print(f"{out / MODEL}; next: mnas-evo evaluate {out / MODEL} --data {data} --out {out}")


def _name(text: str, number: int) -> str:
    """What the folder of a network is called: by its rank, its name, or where it stands in the command."""
    from mnas_evo.space.named import NAMED

    _, mark, rank = text.rpartition("#")
    if mark and rank.isdecimal():
        return f"rank{rank}"
    return text if text in NAMED else f"network{number}"


def _several(out: Path, requests: "dict[str, TrainingRequest]", *, seeds: range, workers: int) -> None:
    from mnas_evo.finalists.several import follow, leader, train_several, training_folder
    from mnas_evo.training.places import is_first_process

    if not is_first_process(next(iter(requests.values())).place):
        follow(out, requests, seeds=seeds)
        return
    with stage("training") as report:
        found = train_several(out, requests, seeds=seeds, workers=workers, progress=report)
    print_table(
        f"validation top-1 of {out}",
        ("trained", "mean %", "deviation", "by seed", "network"),
        [
            (
                one.name,
                f"{one.mean:.2f}",
                f"{one.deviation:.2f}" if len(one.top1) > 1 else "",
                " ".join(f"{top1:.2f}" for top1 in one.top1.values()),
                one.network,
            )
            for one in found
        ],
    )
    for one in found:
        for number, why in one.failed.items():
            tell(f"{one.name}, seed {number}: {why}")
    best, said = leader(found)
    if said:
        print(said)
    chosen = training_folder(out, best.name, max(best.top1, key=lambda number: best.top1[number]))
    print(f"next: mnas-evo evaluate {chosen / 'model.pt'} --data DATA --out {chosen}")
