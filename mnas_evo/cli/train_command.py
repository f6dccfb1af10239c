"""`mnas-evo train`: final training."""

from pathlib import Path
from typing import Annotated

import typer

from mnas_evo.cli.terminal import DATA_HELP, stage


def train(
    arch: Annotated[str, typer.Argument(help="A name, a string, or RUN#rank.")],
    data: Annotated[str, typer.Option(help=DATA_HELP)],
    out: Annotated[Path, typer.Option(help="Folder for model.pt and training.json; one that exists is gone on with.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name or TOML file.")] = "quick",
    resolution: Annotated[
        int | None, typer.Option(help="Height and width that images are brought to; their own if not given.", min=1)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's own.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.", min=0, max=2**31 - 1)] = 0,
) -> None:
    """Train one network to the end. Stopped or killed, the same command goes on with the epoch it was at."""
    from mnas_evo.cli.architectures import read_one
    from mnas_evo.data.datasets import search_data
    from mnas_evo.finalists.final_training import TrainingRequest, train_final
    from mnas_evo.training.recipe import load_recipe
    from mnas_evo.training.task import task_of

    chosen = load_recipe(recipe)
    if epochs is not None:
        chosen = chosen.model_copy(update={"epochs": epochs})
    task = task_of(search_data(data, size=(resolution, resolution) if resolution else None))
    request = TrainingRequest(read_one(arch, task=task), data, chosen, seed)
    with stage("training") as report:
        train_final(
            out,
            request,
            epoch_done=lambda epoch, total: report(epoch.number / total, f"validation top-1 {epoch.top1:.2f} %"),
        )
    print(f"{out / 'model.pt'}; next: mnas-evo evaluate {out / 'model.pt'} --data {data} --out {out}")
