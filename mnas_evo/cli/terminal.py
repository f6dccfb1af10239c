"""What the commands share in speaking: progress on stderr, tables and JSON on stdout."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

_FILE_WIDTH = 400  # a table written to a file or a pipe is not folded

ACCURACY_HELP = (
    "proxy:DATA[,epochs=5,recipe=quick,score=top1|speed], supernet:DIR[,score=top1|speed[,steps=24]], surrogate:CSV, "
    "surrogate:RUN or table:CSV."
)
DATA_HELP = (
    "digits, fashion-mnist, cifar10, imagefolder:DIR, parquet:DIR or hub:NAME; @5000 after it: so many training images."
)
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
WorkersOption = Annotated[
    str,
    typer.Option(
        help="What evaluates: so many processes, ray (a Ray cluster here), ray://HOST:PORT or HOST:PORT. "
        "Changes no result."
    ),
]
Report = Callable[[float, str], None]
"""Called with the share done, 0 to 1, and what is being done."""


@contextmanager
def stage(title: str) -> Iterator[Report]:
    """A progress bar on stderr while a stage lasts; where stderr is no terminal, one line when it ends."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0, note="")
        seen = {"note": ""}

        def report(share: float, note: str) -> None:
            seen["note"] = note
            bar.update(task, completed=share, note=note)

        yield report
        bar.update(task, completed=1.0)
    if not console.is_terminal:
        print(f"{title}: {seen['note'] or 'done'}", file=console.file, flush=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; all columns but the first and the last are set flush right."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for number, name in enumerate(columns):
        # The last column holds what may be long (architecture strings), which is folded, never cut.
        last = number == len(columns) - 1
        table.add_column(name, justify="left" if last or number == 0 else "right", overflow="fold", no_wrap=not last)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console.print(table, markup=False)


def tell(text: str) -> None:
    """A line on stderr, above a progress bar where one stands."""
    print(text, file=sys.stderr, flush=True)


def is_unicode() -> bool:
    """Whether stdout can show characters beyond ASCII."""
    return "utf" in (sys.stdout.encoding or "").lower()


def print_json(document: Any) -> None:
    """One JSON document on stdout; numbers that are none become null."""
    print(json.dumps(_finite(document), indent=1))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
