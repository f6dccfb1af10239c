"""The command that makes a table of what others measured. Heavy imports stand inside it, for a quick --help."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mnas_evo.cli.terminal import JsonOption, print_json

_SHOWN = 3


def import_file(
    file: Annotated[Path, typer.Argument(help="A published table of rows (YAML), or a CSV of measured networks.")],
    table: Annotated[Path, typer.Option("--table", help="Folder for the table; one that exists is added to.")],
    format: Annotated[
        Literal["proxylessnas", "ofa", "networks"] | None,
        typer.Option(help="What the file is; told by its content where it is not given."),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help="For networks: a space whose input and classes complete short strings, else 224x224x3, 1000."
        ),
    ] = None,
    activation: Annotated[
        Literal["relu", "relu6"], typer.Option(help="For rows: their activation, which such files do not name.")
    ] = "relu",
    soc: Annotated[str, typer.Option(help="Processor that it was measured on.")] = "unknown",
    runtime: Annotated[str, typer.Option(help="Runtime, with its version if known: 'tflite 1.9'.")] = "unknown",
    json: JsonOption = False,
) -> None:
    """Make a latency table of what others measured: published tables of rows, or a CSV of whole networks.

    Tables of ProxylessNAS and Once-for-All are read as their authors published them (proxylessnas, ofa); entries that
    no row can express, such as h-swish, are left out, and the table's README.md names each with the reason. A CSV has
    the columns network and ms, and spread_percent and visits where they are known. Times are in milliseconds; a line
    that hardly can be is refused. A table that exists must be of the same --soc and --runtime.

    Examples: mnas-evo import pixel1.yaml --table pixel1 --soc "Snapdragon 821" --runtime tflite;
    mnas-evo import measured.csv --table pixel1-networks --space paper
    """
    from mnas_evo.latency.fitting import FEWEST_NETWORKS, FEWEST_WITH_OTHERS
    from mnas_evo.latency.foreign import guess_format, import_table
    from mnas_evo.space.architecture import Frame
    from mnas_evo.space.space_file import load_space

    known = format or guess_format(file)
    task = load_space(space).frame if space else Frame()
    found, refused = import_table(file, table, format=known, task=task, activation=activation, soc=soc, runtime=runtime)
    if json:
        left_out = [{"key": entry.key, "line": entry.line, "reason": entry.reason} for entry in refused]
        document = {"table": str(table), "format": known, "rows": len(found.rows), "networks": len(found.networks)}
        print_json({**document, "refused": left_out})
        return
    print(f"{table}: {len(found.rows)} rows, {len(found.networks)} networks, with those of {file} ({known})")
    if refused:
        print(f"left out, as no row expresses them: {len(refused)}; {table / 'README.md'} lists all. The first:")
        for entry in refused[:_SHOWN]:
            print(f"  {entry.key}: {entry.reason}")
    if len(found.networks) >= FEWEST_NETWORKS:
        print(f"next: mnas-evo fit --table {table}")
    elif found.networks and not found.rows:
        print(
            f"a fit needs {FEWEST_NETWORKS} networks, or {FEWEST_WITH_OTHERS} with another device's table: fit --from"
        )
    else:
        print(f"next: mnas-evo predict ARCH --table {table}: the bare sum of rows; with measured networks, also a fit")
