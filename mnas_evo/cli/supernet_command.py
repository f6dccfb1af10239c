"""The command that trains a supernet."""

from pathlib import Path
from typing import Annotated

import typer

from mnas_evo.cli.terminal import DATA_HELP, stage


def supernet(
    data: Annotated[str, typer.Option(help=DATA_HELP)],
    out: Annotated[Path, typer.Option(help="Folder of the supernet; one that exists is gone on with.")],
    space: Annotated[str, typer.Option(help="A space's name or TOML file.")] = "paper",
    recipe: Annotated[str, typer.Option(help="A recipe's name or TOML file.")] = "supernet",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's own.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, paths, order and augmentation.", min=0, max=2**31 - 1)] = 0,
) -> None:
    """Train the weights that all networks of a space share, once; each is then judged in a fraction of a training.

    By supernet:OUT,score=speed it is judged by how quickly the layers it is made of learnt here, which some 400 steps
    tell (two epochs of 12,000 images) and which costs nothing; with ,steps=24 behind it also by so many steps of its
    own once it is cut out. By supernet:OUT it is cut out and tested, which takes a training to the end.
    mnas-evo rank-check says how well each ranks.

    Stopped or killed, the same command goes on with the epoch it was at.

    Example: mnas-evo supernet --data digits --space digits --out supernets/digits --epochs 20
    """
    from mnas_evo.accuracy.cut_out_speed import STEPS
    from mnas_evo.accuracy.supernet_training import SupernetRequest, train_supernet
    from mnas_evo.space.space_file import space_text
    from mnas_evo.training.recipe import load_recipe

    chosen = load_recipe(recipe)
    if epochs is not None:
        chosen = chosen.with_epochs(epochs)
    with stage("training") as report:
        trained = train_supernet(
            out,
            SupernetRequest(space_text(space), data, chosen, seed),
            epoch_done=lambda epoch, total: report(
                epoch.number / total,
                f"epoch {epoch.number}: largest {epoch.largest_top1:.1f} %, smallest {epoch.smallest_top1:.1f} %",
            ),
        )
    last = trained.form.epochs[-1]
    print(
        f"{out}: {len(trained.form.epochs)} epochs; one of the largest networks reaches {last.largest_top1:.2f} %, "
        f"one of the smallest {last.smallest_top1:.2f} %, with the statistics of a batch"
    )
    source = f"supernet:{out},score=speed,steps={STEPS}"
    print(f"next: mnas-evo rank-check --space {space} --accuracy {source} --against trained.csv")
