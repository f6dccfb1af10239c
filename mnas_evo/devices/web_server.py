"""A small web server for one page: a token before every path, limits on what comes, headers on what goes.

It knows nothing of measuring: a `Site` says what lies at a path.
"""

import ipaddress
import secrets
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

from mnas_evo.devices.certificate import self_signed
from mnas_evo.errors import DeviceError

MOST_BODY = 256 * 1024  # 200 times of a visit are 2 KB
MOST_CONNECTIONS = 64  # a browser keeps about six
HANDSHAKE_SECONDS = 10.0
IDLE_SECONDS = 60.0

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
}
# With these a browser gives the page a fine clock and threads.
_ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A status with text, by default JSON, or with a file as it lies."""

    status: int = 200
    content: bytes | Path = b""


class Site(Protocol):
    """What lies at each path below the token. Called from many threads at once."""

    def get(self, path: str, query: Mapping[str, str]) -> Reply:
        """What lies at a path; it may take its time."""
        ...

    def post(self, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        """Takes a body of at most `MOST_BODY` bytes, of any content."""
        ...


class WebServer:
    """Serves a site from its making until it is closed: on loopback, or with TLS on all of the host's addresses.

    `isolate` is False only to try what a page does without a fine clock.

    Raises:
        DeviceError: the port is taken, or TLS is not to be had.
    """

    def __init__(self, site: Site, *, listen: bool = False, port: int = 0, isolate: bool = True) -> None:
        self.token = secrets.token_urlsafe(16)
        self.fingerprint: str | None = None
        self.host = "127.0.0.1"
        context = None
        if listen:
            self.host = _address()
            context, self.fingerprint = self_signed(sorted({self.host, "127.0.0.1", "localhost"}))
        try:
            self._server = _Server(
                ("0.0.0.0" if listen else self.host, port),
                site=site,
                token=self.token,
                context=context,
                headers=_HEADERS | (_ISOLATION if isolate else {}),
            )
        except (OSError, OverflowError) as error:
            raise DeviceError(f"port {port} cannot be served on ({error}); give another, or 0 for any") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the page, the token in it."""
        scheme = "http" if self.fingerprint is None else "https"
        return f"{scheme}://{self.host}:{self._server.server_port}/{self.token}/"

    def close(self) -> None:
        """Stops at once; what is under way is cut."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut()
        self._thread.join(timeout=10)


def _address() -> str:
    """The host's address in its network: of the interface that leads outwards. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # of the block kept for documentation
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        *,
        site: Site,
        token: str,
        context: ssl.SSLContext | None,
        headers: Mapping[str, str],
    ) -> None:
        self.site, self.token, self.context, self.headers = site, token.encode(), context, headers
        self._open: set[socket.socket] = set()
        self._threads_open: set[threading.Thread] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As the library's, which also looks its name up: that may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self._open) < MOST_CONNECTIONS

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speaks with one client, in a thread of its own, so that a slow handshake holds up nobody else."""
        request.settimeout(HANDSHAKE_SECONDS)
        connection = self.context.wrap_socket(request, server_side=True) if self.context else request
        self._open.add(connection)
        self._threads_open.add(threading.current_thread())
        try:
            super().finish_request(connection, client_address)
        finally:
            self.shutdown_request(connection)
            self._open.discard(connection)
            self._threads_open.discard(threading.current_thread())

    def cut(self) -> None:
        """Ends every connection that is open."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in list(self._threads_open):
            thread.join(timeout=5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away or spoke no TLS is no concern of ours; a fault in the site is."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server: _Server
    _admitted = False

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            return self._refuse(HTTPStatus.BAD_REQUEST)
        self._answer(self.server.site.get(*self._asked()))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        if "Transfer-Encoding" in self.headers or length is None:
            return self._refuse(HTTPStatus.LENGTH_REQUIRED)
        if not (length.isascii() and length.isdecimal()):
            return self._refuse(HTTPStatus.BAD_REQUEST)
        if len(length) > 12 or int(length) > MOST_BODY:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return self._refuse(HTTPStatus.BAD_REQUEST)
        self._answer(self.server.site.post(*self._asked(), body))

    def parse_request(self) -> bool:
        """Reads the head, and turns away whoever does not hold the token before anything else is looked at."""
        self._admitted = False
        if not super().parse_request():
            return False
        self._admitted = self._may_enter()
        if not self._admitted:
            self._refuse(HTTPStatus.FORBIDDEN)
        return self._admitted

    def handle_expect_100(self) -> bool:
        """Nobody is asked to go on before the token was looked at."""
        return True

    def _may_enter(self) -> bool:
        first, token = [*self.path.partition("?")[0].split("/", 2), "", ""][:2]
        known = secrets.compare_digest(token.encode("utf-8", "replace"), self.server.token)
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        scheme = "http" if self.server.context is None else "https"
        at_home = self.server.context is not None or host.rsplit(":", 1)[0] in ("127.0.0.1", "localhost")
        return first == "" and known and at_home and origin in (None, f"{scheme}://{host}")

    def _asked(self) -> tuple[str, dict[str, str]]:
        path, _, query = self.path.partition("?")
        return unquote(path.split("/", 2)[2]) if path.count("/") > 1 else "", dict(parse_qsl(query))

    def _answer(self, reply: Reply) -> None:
        if isinstance(reply.content, bytes):
            self._head(reply.status, len(reply.content), KINDS.get("", "application/json"))
            self.wfile.write(reply.content)
            return
        try:
            file = reply.content.open("rb")
        except OSError:
            return self._answer(Reply(HTTPStatus.NOT_FOUND))
        with file:
            size = reply.content.stat().st_size
            self._head(reply.status, size, KINDS.get(reply.content.suffix, "application/octet-stream"))
            shutil.copyfileobj(file, self.wfile)
