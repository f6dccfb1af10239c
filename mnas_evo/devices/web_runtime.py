"""onnxruntime-web, which the page runs models with: fetched from npm at first use, checked, and kept."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from mnas_evo.errors import DeviceError
from mnas_evo.files import write_bytes

VERSION = "1.30.0"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
FETCH_SECONDS = 600.0  # 33 MB

# Of the package as npm has it; npm itself calls this figure the package's integrity.
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
_MEMBERS = {**{name: f"package/dist/{name}" for name in FILES}, "package.json": "package/package.json"}  # its licence


def cache_folder() -> Path:
    """Where the runtime is kept for this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mnas_evo" / f"onnxruntime-web-{VERSION}"


def web_runtime(folder: Path | None = None) -> Path:
    """The folder that holds the runtime's three files: the one given, or the cache, filled at first use.

    Raises:
        DeviceError: the folder given lacks a file, or the runtime cannot be fetched; the message says what to do.
    """
    if folder is not None:
        if missing := _missing(folder):
            raise DeviceError(f"{folder} lacks {', '.join(missing)} of onnxruntime-web")
        return folder
    cache = cache_folder()
    if _missing(cache):
        with tempfile.TemporaryDirectory() as scratch:
            _unpack(_fetch(Path(scratch), cache), cache)
    return cache


def _missing(folder: Path) -> list[str]:
    return [name for name in FILES if not (folder / name).is_file()]


def _fetch(scratch: Path, cache: Path) -> Path:
    """The package's archive, as npm brings it from wherever it is told to look."""
    npm = shutil.which("npm")
    if npm is None:
        raise _failure("npm, which fetches it, is not on the PATH", "install Node.js' npm", cache)
    command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--pack-destination", str(scratch), "--ignore-scripts"]
    try:
        done = subprocess.run(
            command, cwd=scratch, capture_output=True, text=True, errors="replace", timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise _failure(f"npm did not end within {FETCH_SECONDS:.0f} s", "look at the network", cache) from None
    except OSError as error:
        raise _failure(f"npm cannot be started ({error})", "install Node.js' npm", cache) from error
    archives = sorted(scratch.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        said = " | ".join(line for line in done.stderr.splitlines() if line.startswith("npm err"))
        said = said or " | ".join(line for line in done.stderr.splitlines() if "error" in line.lower())
        raise _failure(
            f"npm failed with status {done.returncode}: {said[:300] or done.stderr.strip()[-300:]}",
            "look at the network and npm's settings",
            cache,
        )
    return archives[0]


def _unpack(archive: Path, cache: Path) -> None:
    """Puts the files wanted, and no other, into the cache; no name in the archive decides where anything goes."""
    found = hashlib.sha512(archive.read_bytes()).hexdigest()
    if found != SHA512:
        raise _failure(
            f"npm brought a package with SHA-512 {found[:16]}... where {SHA512[:16]}... is right",
            "look at what npm fetches from",
            cache,
        )
    with tarfile.open(archive, "r:gz") as package:
        for name, member in _MEMBERS.items():
            content = package.extractfile(member)
            assert content is not None  # the checksum says so
            with content:
                write_bytes(cache / name, content.read())


def _failure(what: str, mend: str, cache: Path) -> DeviceError:
    return DeviceError(
        f"onnxruntime-web {VERSION} is not here: {what}; {mend}, or put {', '.join(FILES)} of that version into {cache}"
    )
