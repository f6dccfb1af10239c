"""Finds the folders that travel with the package, in a checkout and in an installed wheel alike."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def bundled_folder(name: str) -> Path:
    """Folder `profiling` or `latency_tables`: inside an installed wheel, else beside the package in a checkout.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for folder in (_PACKAGE / "_bundled" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of mnas-evo lacks its folder {name!r}; install it again")


def is_bundled(folder: Path) -> bool:
    """Whether a folder lies in the read-only stock that came with the package."""
    return folder.resolve().is_relative_to(_PACKAGE / "_bundled")
