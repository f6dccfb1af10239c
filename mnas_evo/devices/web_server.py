"""A small web server for one page: a token before every path, limits on what comes, headers on what goes.

It knows nothing of measuring: a `Site` says what lies at a path.
"""

import secrets
import shutil
import socket
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
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
STRANGER_SECONDS = 5.0  # how long somebody without the token may keep a connection
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
    """A status with text, by default JSON, or with a file as it lies; `headers` replace the server's own."""

    status: int = 200
    content: bytes | Path = b""
    headers: Mapping[str, str] = field(default_factory=dict)


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

    `isolate` gives the page a fine clock and threads, and keeps it from all that other hosts serve.

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
        headers: dict[str, str],
    ) -> None:
        self.site, self.token, self.context, self.headers = site, token.encode(), context, headers
        self._open: set[socket.socket] = set()
        self._speaking: set[threading.Thread] = set()
        self._closed = False
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As the library's, which also looks its name up: that may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self._speaking) < MOST_CONNECTIONS

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._speaking.add(threading.current_thread())
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._speaking.discard(threading.current_thread())

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speaks with one client, in a thread of its own, so that a slow handshake holds up nobody else."""
        request.settimeout(HANDSHAKE_SECONDS)
        connection = self.context.wrap_socket(request, server_side=True) if self.context else request
        self._open.add(connection)
        try:
            if not self._closed:
                super().finish_request(connection, client_address)
        finally:
            self.shutdown_request(connection)
            self._open.discard(connection)

    def cut(self) -> None:
        """Ends every connection: what is being answered is answered first, if that does not take long."""
        self._closed = True
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            for connection in list(self._open):
                with suppress(OSError):
                    socket.socket.shutdown(connection, how)  # of the wire; TLS is its thread's own
            for thread in list(self._speaking):
                thread.join(timeout=2)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away or spoke no TLS is no concern of ours; a fault in the site is."""
        if not self._closed and not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = STRANGER_SECONDS  # until the token was shown once
    disable_nagle_algorithm = True  # a head and its body are two writes, and 40 ms apart otherwise
    server: _Server
    _admitted = False

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif (path := self.path.partition("?")[0]).count("/") == 1:  # without the stroke the page finds nothing
            self._head(HTTPStatus.PERMANENT_REDIRECT, 0, "text/html", Location=f"{path}/")
        else:
            self._answer(self.server.site.get(*self._asked()))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length")
        if "Transfer-Encoding" in self.headers or length is None:
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
        elif not (length.isascii() and length.isdecimal()):
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif len(length) > 12 or int(length) > MOST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif len(body := self.rfile.read(int(length))) < int(length):
            self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            self._answer(self.server.site.post(*self._asked(), body))

    def parse_request(self) -> bool:
        """Reads the head, and turns away whoever does not hold the token before anything else is looked at."""
        self._admitted = False
        if not super().parse_request():
            return False
        self._admitted = self._may_enter()
        if self._admitted:
            self.connection.settimeout(IDLE_SECONDS)
        else:
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
        return unquote(path.split("/", 2)[-1]), dict(parse_qsl(query))

    def _answer(self, reply: Reply) -> None:
        if isinstance(reply.content, bytes):
            self._head(reply.status, len(reply.content), "application/json", **reply.headers)
            self.wfile.write(reply.content)
            return
        try:
            file = reply.content.open("rb")
        except OSError:
            self._head(HTTPStatus.NOT_FOUND, 0, "application/json")
            return
        with file:
            kind = KINDS.get(reply.content.suffix, "application/octet-stream")
            self._head(reply.status, reply.content.stat().st_size, kind, **reply.headers)
            shutil.copyfileobj(file, self.wfile)

    def _head(self, status: int, length: int, kind: str, **more: str) -> None:
        self.send_response_only(status)
        for name, value in (self.server.headers | {"Content-Type": kind} | more).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _refuse(self, status: int) -> None:
        """A status and nothing else, and the end of the connection."""
        self.close_connection = True
        line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
        self.wfile.write(f"{line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        # What the client still sends is read and dropped: were the connection just closed, it might not see the answer.
        with suppress(OSError):
            self.connection.settimeout(1.0)
            self.connection.shutdown(socket.SHUT_WR)
            until = time.monotonic() + STRANGER_SECONDS
            while time.monotonic() < until and self.connection.recv(2**14):
                pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library finds wrong with a request; a stranger is not told."""
        self._refuse(code if self._admitted else HTTPStatus.FORBIDDEN)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the host's terminal is the campaign's."""
