"""The web server: who may ask, what may be asked, and what goes back. No browser, no measuring."""

import contextlib
import hashlib
import http.client
import re
import socket
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.page_client import StandInPage

from mnas_evo.devices import web_server
from mnas_evo.devices.certificate import self_signed
from mnas_evo.devices.web_server import MOST_BODY, Reply, WebServer
from mnas_evo.errors import DeviceError

FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Shelf:
    """A site of a few things, which remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.posted: list[bytes] = []

    def get(self, path: str, query: Mapping[str, str]) -> Reply:
        self.asked.append(path)
        if path in ("text", ""):
            return Reply(content=b'{"a":1}')
        if path.startswith("file"):
            return Reply(content=self.folder / path)
        if path == "fault":
            raise ValueError("a fault of the site's")
        return Reply(404)

    def post(self, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        self.posted.append(body)
        return Reply(content=str(len(body)).encode())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    for suffix in ("html", "js", "mjs", "css", "svg", "wasm", "onnx", "bin"):
        (tmp_path / f"file.{suffix}").write_bytes(suffix.encode() * 1000)
    (tmp_path / "secret").write_text("not to be had")
    return Shelf(tmp_path)


@pytest.fixture
def server(shelf: Shelf) -> Iterator[WebServer]:
    made = WebServer(shelf)
    yield made
    made.close()


@pytest.fixture
def page(server: WebServer) -> StandInPage:
    return StandInPage(server.url)


def raw(page: StandInPage, text: bytes) -> bytes:
    """What comes back for bytes as they stand, until the server hangs up."""
    with socket.create_connection((page.host, page.port), timeout=20) as wire:
        wire.sendall(text)
        wire.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: wire.recv(65536), b""))


# Who may ask


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/text",
        "//text",
        "/favicon.ico",
        "/wrong/text",
        "/../text",
        "/%2e%2e/text",
        "/?{token}",
        "/wrong?{token}/text",
        "/x{token}/text",
        "/{token}x/text",
        "/{upper}/text",
        "/wrong/{token}/text",
        "http://127.0.0.1/{token}/text",
        "{token}/text",
        "x/{token}/text",
        "*",
        "/\xff\xfe/text",
        "/" + "a" * 5000,
    ],
)
def test_whoever_does_not_hold_the_token_gets_403_and_nothing_else(
    path: str, server: WebServer, page: StandInPage, shelf: Shelf
) -> None:
    path = path.format(token=server.token, upper=server.token.swapcase())
    for method in ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "NONSENSE"):
        assert raw(page, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode("latin-1")) == FORBIDDEN
    assert not shelf.asked and not shelf.posted


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n: x\r\n\r\n",
        b"GET " + b"/a" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"POST /wrong/say HTTP/1.1\r\nContent-Length: 400000\r\n\r\n" + b"x" * 400_000,
        b"POST /wrong/say HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
    ],
)
def test_what_is_hardly_a_request_gets_the_same(text: bytes, page: StandInPage) -> None:
    assert raw(page, text) == FORBIDDEN


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "127.0.0.1.example.org", "", "[::1]"])
def test_a_name_that_somebody_pointed_at_loopback_is_turned_away(host: str, page: StandInPage) -> None:
    assert page.request("GET", page.path + "text", Host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:8080"])
def test_a_port_that_is_forwarded_may_be_another(host: str, page: StandInPage) -> None:
    assert page.request("GET", page.path + "text", Host=host).status == 200


def test_another_sites_page_may_not_post_here(page: StandInPage, shelf: Shelf) -> None:
    home = f"127.0.0.1:{page.port}"
    for origin in ("http://example.org", "null", f"https://{home}", "http://127.0.0.1:1"):
        assert page.request("POST", page.path + "say", b"x", Host=home, Origin=origin).status == 403
    assert not shelf.posted
    assert page.request("POST", page.path + "say", b"x", Host=home, Origin=f"http://{home}").status == 200


def test_a_token_is_of_one_server_only_and_long(shelf: Shelf, server: WebServer) -> None:
    other = WebServer(shelf)
    assert other.token != server.token
    assert len(other.token) >= 22 and re.fullmatch(r"[\w-]+", other.token)
    assert StandInPage(other.url.replace(other.token, server.token)).get("text").status == 403
    other.close()


def test_loopback_is_all_that_is_bound_where_nothing_else_is_asked(server: WebServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert server._server.server_address[0] == "127.0.0.1"


# What may be asked


def test_paths_are_given_to_the_site_below_the_token_and_decoded_once(page: StandInPage, shelf: Shelf) -> None:
    page.get("")
    page.get("a%20b/c%252f..?x=/y")
    assert shelf.asked == ["", "a b/c%2f.."]


def test_an_address_that_lost_its_last_stroke_leads_to_the_page(page: StandInPage, shelf: Shelf) -> None:
    got = page.request("GET", page.path.rstrip("/"))
    assert (got.status, got.headers["location"], got.body) == (308, page.path, b"")
    assert shelf.asked == []


@pytest.mark.parametrize("length", ["", "x", "-1", "1e3", "²", "+5", "0x10"])
def test_a_length_that_is_no_number_is_refused(length: str, page: StandInPage, shelf: Shelf) -> None:
    head = f"POST {page.path}say HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\nbody"
    assert raw(page, head.encode()).startswith(b"HTTP/1.1 400 ")
    assert not shelf.posted


@pytest.mark.parametrize("length", [MOST_BODY + 1, 10**11, 10**30])
def test_a_body_that_is_too_large_is_not_read(length: int, page: StandInPage, shelf: Shelf) -> None:
    head = f"POST {page.path}say HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    assert raw(page, head.encode() + b"x" * (MOST_BODY + 1)).startswith(b"HTTP/1.1 413 ")
    assert not shelf.posted


def test_the_largest_body_is_read_whole(page: StandInPage, shelf: Shelf) -> None:
    assert page.request("POST", page.path + "say", b"x" * MOST_BODY).body == str(MOST_BODY).encode()
    assert page.request("POST", page.path + "say", b"").body == b"0"


def test_a_body_in_chunks_or_without_its_end_is_refused(page: StandInPage, shelf: Shelf) -> None:
    head = f"POST {page.path}say HTTP/1.1\r\nHost: localhost\r\n"
    chunks = "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    assert raw(page, (head + chunks).encode()).startswith(b"HTTP/1.1 411 ")
    assert raw(page, (head + "\r\n").encode()).startswith(b"HTTP/1.1 411 ")
    assert raw(page, (head + "Content-Length: 10\r\n\r\nhalf").encode()).startswith(b"HTTP/1.1 400 ")
    assert not shelf.posted


def test_a_question_with_a_body_or_by_another_method_is_refused(page: StandInPage, shelf: Shelf) -> None:
    assert page.request("GET", page.path + "text", b"body").status == 400
    assert page.request("PUT", page.path + "text", b"body").status == 501
    assert page.request("HEAD", page.path + "text").status == 501
    assert not shelf.asked


# What goes back


def test_every_answer_bears_the_headers_that_isolate_it(page: StandInPage) -> None:
    for path in ("text", "file.wasm", "nothing"):
        headers = page.get(path).headers
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; ") and "'wasm-unsafe-eval'" in policy
        assert "unsafe-inline" not in policy and "'unsafe-eval'" not in policy
        assert "server" not in headers


def test_without_isolation_the_rest_stays(shelf: Shelf) -> None:
    server = WebServer(shelf, isolate=False)
    headers = StandInPage(server.url).get("text").headers
    assert not {"cross-origin-opener-policy", "cross-origin-embedder-policy"} & set(headers)
    assert headers["x-content-type-options"] == "nosniff"
    server.close()


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("html", "text/html; charset=utf-8"),
        ("js", "text/javascript; charset=utf-8"),
        ("mjs", "text/javascript; charset=utf-8"),
        ("css", "text/css; charset=utf-8"),
        ("svg", "image/svg+xml"),
        ("wasm", "application/wasm"),
        ("onnx", "application/octet-stream"),
        ("bin", "application/octet-stream"),
    ],
)
def test_a_file_comes_whole_and_says_what_it_is(suffix: str, kind: str, page: StandInPage) -> None:
    got = page.get(f"file.{suffix}")
    assert (got.status, got.headers["content-type"]) == (200, kind)
    assert got.body == suffix.encode() * 1000


def test_a_file_that_is_gone_is_not_found(page: StandInPage) -> None:
    assert page.get("file.gone").status == 404


def test_many_questions_share_a_connection(page: StandInPage) -> None:
    connection = page.connection()
    for _ in range(3):
        connection.request("GET", page.path + "text")
        assert connection.getresponse().read() == b'{"a":1}'
    connection.close()


def test_a_fault_of_the_site_ends_one_connection_and_not_the_server(
    shelf: Shelf, capfd: pytest.CaptureFixture[str]
) -> None:
    server = WebServer(shelf)
    page = StandInPage(server.url)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        page.get("fault")
    assert page.get("text").status == 200
    server.close()
    assert "a fault of the site's" in capfd.readouterr().err


def test_clients_that_go_away_leave_no_word_on_the_terminal(
    page: StandInPage, capfd: pytest.CaptureFixture[str]
) -> None:
    for text in (b"", b"GET", f"POST {page.path}say HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n".encode()):
        with socket.create_connection((page.host, page.port), timeout=20) as wire:
            wire.sendall(text)
    assert page.get("text").status == 200
    assert capfd.readouterr() == ("", "")


# Its life


def test_a_port_that_is_taken_is_a_device_error_that_says_what_to_do(shelf: Shelf, server: WebServer) -> None:
    port = StandInPage(server.url).port
    with pytest.raises(DeviceError, match=rf"port {port} cannot be served on .*give another, or 0 for any"):
        WebServer(shelf, port=port)
    with pytest.raises(DeviceError, match="port 70000 cannot be served on"):
        WebServer(shelf, port=70_000)


def test_a_server_that_closes_hangs_up_on_everybody(shelf: Shelf) -> None:
    server = WebServer(shelf)
    page = StandInPage(server.url)
    idle = socket.create_connection((page.host, page.port), timeout=20)
    kept = page.connection()
    kept.request("GET", page.path + "text")
    kept.getresponse().read()
    before = threading.active_count()
    server.close()
    assert threading.active_count() < before
    assert idle.recv(1) == b""
    idle.close()
    kept.close()
    with pytest.raises(OSError):
        page.get("text")


def test_no_more_connections_than_a_few_pages_need(
    page: StandInPage, monkeypatch: pytest.MonkeyPatch, shelf: Shelf
) -> None:
    monkeypatch.setattr(web_server, "MOST_CONNECTIONS", 2)
    wires = []
    for _ in range(2):
        kept = page.connection()
        kept.request("GET", page.path + "text")
        kept.getresponse().read()
        wires.append(kept)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        page.get("text")
    for kept in wires:
        kept.close()


# TLS


@pytest.fixture
def listening(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    pytest.importorskip("cryptography", reason="https needs mnas-evo[browser]")
    monkeypatch.setattr(web_server, "_address", lambda: "127.0.0.1")
    server = WebServer(shelf, listen=True)
    yield server
    server.close()


def blind() -> ssl.SSLContext:
    """Takes any certificate, as somebody does who compares the fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_in_the_network_it_speaks_tls_by_the_certificate_that_it_tells(listening: WebServer, shelf: Shelf) -> None:
    page = StandInPage(listening.url, blind())
    assert listening.url.startswith("https://127.0.0.1:")
    assert page.get("text").body == b'{"a":1}'
    with socket.create_connection((page.host, page.port), timeout=20) as wire, blind().wrap_socket(wire) as secure:
        certificate = secure.getpeercert(binary_form=True)
        assert certificate is not None and (secure.version() or "") >= "TLSv1.2"
    digest = hashlib.sha256(certificate).hexdigest().upper()
    assert listening.fingerprint == ":".join(digest[i : i + 2] for i in range(0, 64, 2))
    trusting = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(certificate))
    assert StandInPage(listening.url, trusting).get("text").status == 200  # its names are right, too
    with pytest.raises(ssl.SSLCertVerificationError):
        StandInPage(listening.url, ssl.create_default_context()).get("text")


def test_in_the_network_the_token_is_asked_too_and_the_hosts_name_is_free(listening: WebServer) -> None:
    page = StandInPage(listening.url, blind())
    assert page.request("GET", "/text").status == 403
    assert page.request("GET", "/wrong/text", Host="laptop.local").status == 403
    assert page.request("GET", page.path + "text", Host="laptop.local").status == 200


def test_who_speaks_no_tls_is_hung_up_on_and_holds_up_nobody(
    listening: WebServer, capfd: pytest.CaptureFixture[str]
) -> None:
    page = StandInPage(listening.url, blind())
    with socket.create_connection((page.host, page.port), timeout=20):  # says nothing
        with contextlib.suppress(OSError):
            assert b"403" not in raw(page, b"GET /text HTTP/1.1\r\n\r\n")
        assert page.get("text").status == 200
    assert capfd.readouterr() == ("", "")


def test_each_server_has_a_certificate_of_its_own() -> None:
    pytest.importorskip("cryptography", reason="https needs mnas-evo[browser]")
    assert self_signed(["localhost"])[1] != self_signed(["localhost"])[1]


def test_without_cryptography_the_extra_is_named(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(DeviceError, match=r"cryptography.*pip install 'mnas-evo\[browser\]'"):
        WebServer(shelf, listen=True)
