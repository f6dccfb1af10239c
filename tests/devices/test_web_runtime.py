"""Fetching onnxruntime-web: by an npm that is a stand-in, which brings what it should and what it should not."""

import hashlib
import io
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.page_client import stub_runtime

from mnas_evo.devices import web_runtime
from mnas_evo.devices.web_runtime import FILES, VERSION
from mnas_evo.errors import DeviceError

NAMES = (*(f"package/dist/{name}" for name in FILES), "package/package.json")
Npm = Callable[[str], None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the runtime will be kept: a cache of its own for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mnas_evo" / f"onnxruntime-web-{VERSION}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as npm brings it, with more in it than is wanted; its checksum is the right one."""
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (*NAMES, "package/dist/ort.js", "../escaped", "/escaped", "package/../../escaped"):
            content = f"content of {name}".encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(web_runtime, "SHA512", hashlib.sha512(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    """Makes the npm on the PATH a program of some lines, which writes down what it was asked."""

    def make(lines: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        head = f"#!{sys.executable}\nimport shutil, sys, time\nfrom pathlib import Path\n"
        note = f"Path({str(tmp_path / 'asked')!r}).open('a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        (folder / "npm").write_text(head + note + lines)
        (folder / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return make


def brings(package: Path) -> str:
    return f"shutil.copy({str(package)!r}, Path(sys.argv[4]) / 'onnxruntime-web-{VERSION}.tgz')"


def test_it_is_fetched_once_and_nothing_but_what_is_wanted_is_kept(
    cache: Path, package: Path, npm: Npm, tmp_path: Path
) -> None:
    npm(brings(package))
    assert web_runtime.web_runtime() == cache
    assert web_runtime.web_runtime() == cache
    assert sorted(path.name for path in cache.iterdir()) == sorted([*FILES, "package.json"])
    for name in FILES:
        assert (cache / name).read_text() == f"content of package/dist/{name}"
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith(f"pack onnxruntime-web@{VERSION} --pack-destination ")
    assert not list(tmp_path.rglob("escaped"))


def test_a_cache_that_lost_a_file_is_filled_again(cache: Path, package: Path, npm: Npm) -> None:
    npm(brings(package))
    web_runtime.web_runtime()
    (cache / FILES[0]).unlink()
    assert (web_runtime.web_runtime() / FILES[0]).exists()


def test_files_put_there_by_hand_are_taken(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    cache.mkdir(parents=True)
    stub_runtime(cache)
    assert web_runtime.web_runtime() == cache


def test_another_checksum_keeps_nothing(cache: Path, package: Path, npm: Npm, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(brings(package))
    monkeypatch.setattr(web_runtime, "SHA512", "0" * 128)
    with pytest.raises(
        DeviceError, match=r"SHA-512 .* where 0000000000000000\.\.\. is right; look at what npm fetches"
    ):
        web_runtime.web_runtime()
    assert not cache.exists()


def test_without_npm_it_is_said_what_to_install_or_where_to_put_the_files(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeviceError) as caught:
        web_runtime.web_runtime()
    said = str(caught.value)
    assert "npm, which fetches it, is not on the PATH; install Node.js' npm, or put " in said
    assert all(name in said for name in (*FILES, str(cache)))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("sys.exit('npm error code ENOTFOUND\\nnpm error network request failed')", "ENOTFOUND.*look at the network"),
        ("sys.exit('what is this')", "npm failed with status 1: what is this; look at the network"),
        ("", "npm failed with status 0"),
        ("time.sleep(60)", r"npm did not end within 1 s"),
    ],
)
def test_an_npm_that_fails_is_told_with_its_words(
    lines: str, said: str, cache: Path, npm: Npm, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(lines)
    monkeypatch.setattr(web_runtime, "FETCH_SECONDS", 1.0)
    with pytest.raises(DeviceError, match=said):
        web_runtime.web_runtime()
    assert not cache.exists()


def test_an_npm_that_cannot_be_started_is_told(cache: Path, npm: Npm, tmp_path: Path) -> None:
    npm("")
    (tmp_path / "bin" / "npm").write_text("#!/no/such/interpreter\n")
    with pytest.raises(DeviceError, match="npm cannot be started"):
        web_runtime.web_runtime()


def test_a_folder_that_is_given_must_hold_all(tmp_path: Path) -> None:
    stub_runtime(tmp_path, FILES[1:])
    with pytest.raises(DeviceError, match=f"{tmp_path} lacks {FILES[0]} of onnxruntime-web"):
        web_runtime.web_runtime(tmp_path)
    stub_runtime(tmp_path)
    assert web_runtime.web_runtime(tmp_path) == tmp_path


@pytest.mark.remote
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm on the PATH")
def test_the_real_package_has_the_pinned_checksum_and_the_files(cache: Path) -> None:
    try:
        folder = web_runtime.web_runtime()
    except DeviceError as error:
        if "look at the network" in str(error):
            pytest.skip(str(error))
        raise
    assert (folder / FILES[0]).read_text(encoding="utf-8").startswith("/*!\n * ONNX Runtime Web v1.30.0")
