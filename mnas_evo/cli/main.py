"""Entry point of `mnas-evo`: the commands, and errors as one line with exit status 2."""

import os
import sys
from typing import Any

import typer

from mnas_evo.cli import device_commands, predictor_commands, search_commands
from mnas_evo.cli.compare_command import compare
from mnas_evo.cli.demo import demo
from mnas_evo.cli.describe_command import describe
from mnas_evo.cli.evaluate_command import evaluate
from mnas_evo.cli.export_command import export
from mnas_evo.cli.import_command import import_file
from mnas_evo.cli.rank_command import rank_check
from mnas_evo.cli.remeasure_command import remeasure
from mnas_evo.cli.report_command import report
from mnas_evo.cli.scale_command import scale
from mnas_evo.cli.supernet_command import supernet
from mnas_evo.cli.train_command import train
from mnas_evo.errors import MnasEvoError

STATUS_ERROR = 2
STATUS_STOPPED = 130

app = typer.Typer(
    name="mnas-evo",
    help="Find the most accurate image classifier that really runs within a device's latency budget.\n\n"
    "Profile a device once, search offline as often as you like, measure the best again, train one, ship ONNX. "
    "Begin with: mnas-evo demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(demo)
for command in (
    describe,
    search_commands.spaces,
    device_commands.profile,
    predictor_commands.fit,
    predictor_commands.predict,
    predictor_commands.score,
    supernet,
    rank_check,
    search_commands.search,
    compare,
    remeasure,
    train,
    evaluate,
    export,
    scale,
    report,
    device_commands.tables,
):
    app.command()(command)
app.command("import")(import_file)


def main() -> None:
    """Runs the command line and exits with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command and gives its exit status."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reports usage otherwise
    # Typer carries its own copy of click from version 0.26 on, so its errors are known by their form.
    command: Any = typer.main.get_command(app)
    try:
        status = command.main(args=arguments or ["--help"], prog_name="mnas-evo", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except KeyboardInterrupt:
        print("mnas-evo: stopped; what it keeps in its folder is kept, give the same command again", file=sys.stderr)
        return STATUS_STOPPED
    except (MnasEvoError, OSError) as error:
        return _complain(str(error))
    except Exception as error:
        if type(error).__name__ == "Abort":
            return STATUS_STOPPED
        if not hasattr(error, "format_message"):
            raise
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "mnas-evo"
        return _complain(f"{error.format_message()} See: {path} --help")


def _complain(text: str) -> int:
    print(f"mnas-evo: {' '.join(text.split())}", file=sys.stderr)
    return STATUS_ERROR
