"""A browser as a device: the host serves a page, whoever opens it measures with onnxruntime-web (profiling/web)."""

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from mnas_evo.bundled import bundled_folder
from mnas_evo.devices.web_desk import PageDesk
from mnas_evo.devices.web_runtime import FILES, web_runtime
from mnas_evo.devices.web_server import WebServer
from mnas_evo.devices.wire import PROTOCOL
from mnas_evo.errors import RequestError
from mnas_evo.latency.runs import DeviceFacts, Plan, Run

RUNTIME = "onnxruntime-web"
PRECISIONS = ("fp32",)
_PAGE = ("agent.js", "facts.js", "measure.js", "numbers.js", "view.js", "style.css", "icon.svg")
_CODE = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no two that look alike


class BrowserDevice:
    """The browser that opens the page which this host serves, on loopback or (`listen`) in the host's network.

    What its user must be told goes to `say`. `page_seconds` is how long a page may take to come, to come back, or to
    get on with a visit. `opener` opens the page's address on the device where that can be done from here.
    `runtime_folder` holds onnxruntime-web where it is not to be fetched. `isolate` is False only to try what the page
    does without a fine clock.

    Raises:
        RequestError: a precision or number of threads that the runtime does not have.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        precision: str = "fp32",
        listen: bool = False,
        port: int = 0,
        say: Callable[[str], None],
        page_seconds: float = 600.0,
        opener: Callable[[str], None] | None = None,
        runtime_folder: Path | None = None,
        isolate: bool = True,
    ) -> None:
        if precision not in PRECISIONS:
            raise RequestError(f"{RUNTIME} here runs {', '.join(PRECISIONS)}, not {precision!r}")
        if threads < 1:
            raise RequestError(f"threads is a positive number, not {threads}")
        self._threads = threads
        self._precision = precision
        self._listen = listen
        self._port = port
        self._say = say
        self._page_seconds = page_seconds
        self._opener = opener
        self._runtime_folder = runtime_folder
        self._isolate = isolate
        self._progress: tuple[float | None, str] = (None, "")
        self._desk: PageDesk | None = None
        self._server: WebServer | None = None
        self._facts: DeviceFacts | None = None

    def facts(self) -> DeviceFacts:
        """What the page said of its device; at first use serves it, says where, and waits for somebody to open it.

        Raises:
            DeviceGone: nobody did.
            DeviceError: it cannot be served, or it cannot measure.
        """
        if self._facts is None:
            self._facts = self._open().greet()
            self._say(f"measuring on {self._facts.soc} ({self._facts.agent})")
            if self._facts.threads != self._threads:
                self._say(f"{self._threads} threads were asked for; the page has {self._facts.threads}")
        return self._facts

    def run(self, plan: Plan) -> Iterator[Run]:
        """Hands the visits to the page one by one and gives each run as it comes.

        Raises:
            DeviceGone: no page got on for `page_seconds`; the page's address stays the same until `close`.
            DeviceError: the page is of another device, or what it answers cannot be read.
        """
        self.facts()
        desk = self._open()
        for visit in plan.visits:
            yield desk.ask(plan, visit)

    def show_progress(self, share: float, text: str) -> None:
        """What the page shows of the whole: a campaign's progress. It never waits."""
        self._progress = (share, text)
        if self._desk is not None:
            self._desk.show_progress(share, text)

    def close(self) -> None:
        """Tells the page that all is done and stops serving it."""
        desk, self._desk = self._desk, None
        server, self._server = self._server, None
        self._facts = None
        if desk is not None and server is not None:
            try:
                desk.end()
            finally:
                server.close()

    def _open(self) -> PageDesk:
        if self._desk is not None:
            return self._desk
        page, runtime = bundled_folder("profiling") / "web", web_runtime(self._runtime_folder)
        files: dict[str, bytes | Path] = {
            "": page / "index.html",
            **{name: page / name for name in _PAGE},
            **{f"runtime/{name}": runtime / name for name in FILES},
        }
        desk = PageDesk(files, seconds=self._page_seconds, say=self._say)
        desk.show_progress(*self._progress)
        server = WebServer(desk, listen=self._listen, port=self._port, isolate=self._isolate)
        code = "".join(secrets.choice(_CODE) for _ in range(4))
        asked = {
            "protocol": PROTOCOL,
            "runtime": RUNTIME,
            "threads": self._threads,
            "precision": self._precision,
            "code": code,
            "fingerprint": server.fingerprint,
        }
        files["asked"] = json.dumps(asked).encode()
        self._desk, self._server = desk, server
        try:
            self._invite(server, code)
        except BaseException:
            self.close()
            raise
        return desk

    def _invite(self, server: WebServer, code: str) -> None:
        """Has the page opened, or says where it is."""
        if self._opener is not None:
            self._opener(server.url)
            self._say(f"opened {server.url} there; its page shows the code {code}")
            return
        self._say(f"open {server.url} in the browser that is to measure; its page shows the code {code}")
        if server.fingerprint is not None:
            self._say(
                "the browser does not know the page's certificate, which was made just now, and asks whether to go on; "
                f"its SHA-256 is {server.fingerprint}"
            )
            if (drawn := qr_code(server.url)) is not None:
                self._say(drawn)


def qr_code(text: str) -> str | None:
    """A QR code in half blocks, light on dark as terminals are; None where segno is not installed."""
    try:
        import segno
    except ImportError:
        return None
    rows = [[not dark for dark in row] for row in segno.make(text, micro=False).matrix_iter(border=2)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    blocks = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
    return "\n".join(
        "".join(blocks[pair] for pair in zip(*two, strict=True)) for two in zip(rows[::2], rows[1::2], strict=True)
    )
