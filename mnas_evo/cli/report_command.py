"""The report command: the page of a folder, its pictures, or the page served while the folder changes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mnas_evo.cli.terminal import stage, tell
from mnas_evo.errors import RequestError

if TYPE_CHECKING:
    from mnas_evo.report.page import Content


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of a table, a search, a training or several, a supernet, a comparison, a study by scale, or "
            "all of a demo."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where to write the page; report.html in the folder by default.")
    ] = None,
    pictures: Annotated[
        Literal["svg", "png"] | None,
        typer.Option(
            help="Write each figure as a file too, for papers and READMEs: into a folder pictures beside the page."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Serve the page on this machine instead, and draw it anew as a search, campaign or "
            "training goes on; until Ctrl-C.",
        ),
    ] = False,
    port: Annotated[int | None, typer.Option(help="Of --watch; any free one by default.", min=0, max=65535)] = None,
) -> None:
    """Write one self-contained HTML page about what a folder holds; what still runs is shown as far as it has come.

    --pictures needs Chrome or Chromium on this machine, and loads nothing from a network. The pictures are as the page
    opens with them, in light colours on white, with their legends, and as wide as a paper's column: svg for papers, png
    at twice the size for READMEs.

    --watch serves on loopback alone, at an address that holds a secret. It takes a twentieth of one core's time while a
    browser looks at it: beside a campaign on this same machine, close the page, or the times will tell of it.

    Examples: mnas-evo report demo; mnas-evo report runs/one --watch; mnas-evo report runs/one --pictures svg --out
    paper/one.html
    """
    if watch and (out or pictures):
        raise RequestError("--watch writes no file: leave --out and --pictures out")
    if port is not None and not watch:
        raise RequestError("--port is that of --watch; give --watch too")
    if watch:
        _watch(folder, port or 0)
        return
    from mnas_evo.report.page import read_content, write_page

    page = out or folder / "report.html"
    content = read_content(folder)
    print(write_page(folder, content, page))
    if pictures is not None:
        _write_pictures(content, page.parent / "pictures", pictures)


def _watch(folder: Path, port: int) -> None:
    from threading import Event

    from mnas_evo.devices.web_server import WebServer
    from mnas_evo.report.watch import Watched

    server = WebServer(Watched(folder), port=port, isolate=False)
    try:
        print(server.url, flush=True)
        tell("the page is drawn anew as the folder changes; Ctrl-C ends it")
        Event().wait()
    except KeyboardInterrupt:
        tell("ended")
    finally:
        server.close()


def _write_pictures(content: "Content", out: Path, kind: Literal["svg", "png"]) -> None:
    from mnas_evo.report.pictures import write_pictures

    plots = [plot for section in content.sections for plot in section.plots]
    if not plots:
        tell("there are no figures yet, so there are no pictures")
        return
    with stage("drawing") as told:
        written = write_pictures(plots, out, kind, progress=told)
    print("\n".join(map(str, written)))
