"""A phone behind adb: its own browser measures a page of this host, which it reaches as its own loopback.

On loopback a page has a fine clock and threads, and nothing of this host is open to any network.
"""

import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from mnas_evo.devices.browser import BrowserDevice
from mnas_evo.errors import DeviceError, UnknownTarget
from mnas_evo.latency.runs import DeviceFacts, Plan, Run

CALL_SECONDS = 30.0


class AdbDevice:
    """A phone known to adb by its serial number. `adb` is the program; nothing is started before it is used.

    Raises:
        UnknownTarget: a serial number that cannot be one.
        RequestError: a precision or number of threads that the runtime does not have.
    """

    def __init__(
        self,
        serial: str,
        *,
        threads: int = 1,
        precision: str = "fp32",
        say: Callable[[str], None],
        adb: str = "adb",
        page_seconds: float = 600.0,
    ) -> None:
        if not serial or serial.startswith("-") or not serial.isprintable() or " " in serial:
            raise UnknownTarget(f"{serial!r} is no serial number; adb devices lists those that are there")
        self._serial = serial
        self._adb = adb
        self._port: int | None = None
        self._browser = BrowserDevice(
            threads=threads, precision=precision, say=say, page_seconds=page_seconds, opener=self._open_there
        )

    def facts(self) -> DeviceFacts:
        """What the phone's page said of it; at first use opens the page there.

        Raises:
            DeviceError: adb is not here, or does not reach the phone; the message says what to do.
        """
        return self._browser.facts()

    def run(self, plan: Plan) -> Iterator[Run]:
        """Hands the visits to the phone's page and gives each run as it comes."""
        return self._browser.run(plan)

    def show_progress(self, share: float, text: str) -> None:
        """What the page shows of the whole."""
        self._browser.show_progress(share, text)

    def close(self) -> None:
        """Ends the page, and the phone's way to this host."""
        self._browser.close()
        if self._port is not None:
            port, self._port = self._port, None
            with suppress(DeviceError):
                self._call("reverse", "--remove", f"tcp:{port}")

    def _open_there(self, url: str) -> None:
        port = urlsplit(url).port
        assert port is not None
        self._call("reverse", f"tcp:{port}", f"tcp:{port}")
        self._port = port
        # One line for the phone's shell.
        view = ["am", "start", "-a", "android.intent.action.VIEW", "-d", url]
        said = self._call("shell", shlex.join(view))
        if "Error" in said:
            words = " ".join(said.split())[:200]
            raise DeviceError(f"{self._serial} opened no browser: {words}; unlock the phone and try again")

    def _call(self, *words: str) -> str:
        command = [self._adb, "-s", self._serial, *words]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=CALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(f"adb has said nothing for {CALL_SECONDS:.0f} s; run: adb kill-server") from None
        except OSError as error:
            raise DeviceError(f"adb cannot be run ({error}); install Android's platform tools (adb)") from error
        said = (done.stdout + done.stderr).decode("utf-8", errors="replace")
        if done.returncode != 0:
            last = (said.strip().splitlines() or ["it did not say why"])[-1]
            raise DeviceError(
                f"adb does not reach {self._serial}: {last}. See that adb devices lists it as a device, with USB "
                "debugging allowed, then run the command again"
            )
        return said
