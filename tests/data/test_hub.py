"""Sets of the hub without a network: from the cache, or a quick word on how to get them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.data_sets import CLASSES, numbered, write_parquet

from mnas_evo.data.tables import library


def asked(cache: Path, *names: str, offline: bool) -> list[str]:
    """What another process says to each name; without `offline` its network is there but leads nowhere."""
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise OSError('no network')\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "from mnas_evo.data.datasets import search_data, test_data\n"
        "for name in sys.argv[1:]:\n"
        "    try: print('found', len(search_data(name).train), len(test_data(name)), search_data(name).classes)\n"
        "    except Exception as fault: print(type(fault).__name__, fault)\n"
    )
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    surroundings |= {"HF_HOME": str(cache), **({"HF_HUB_OFFLINE": "1"} if offline else {})}
    done = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, env=surroundings, timeout=60, cwd=cache
    )
    assert done.returncode == 0 and "Retry" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def cached(cache: Path, hub_name: str, splits: tuple[str, ...]) -> None:
    """Puts a set into a cache as if it had been fetched from the hub."""
    own = hub_name.partition("/")[2]
    files = {split: [str(write_parquet(cache / own / f"{split}.parquet", *numbered(30)))] for split in splits}
    made = library().load_dataset_builder("parquet", data_files=files, cache_dir=str(cache / "made"))
    made.download_and_prepare()
    kept = cache / "datasets" / hub_name.replace("/", "___") / "default" / "0.0.0" / "0123abcd"
    kept.mkdir(parents=True)
    for file in Path(made.cache_dir).iterdir():
        (kept / file.name.replace("parquet-", f"{own}-")).write_bytes(file.read_bytes())
    info = kept / "dataset_info.json"
    info.write_text(info.read_text().replace('"dataset_name": "parquet"', f'"dataset_name": "{own}"'))


ABSENT = ("cifar10@50", "hub:someone/fish", "hub:no such name")


@pytest.fixture(scope="module", params=[True, False], ids=["offline", "unreachable"])
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said to each name, where the cache holds two sets."""
    cache = tmp_path_factory.mktemp("hub")
    cached(cache, "someone/birds", ("train", "test"))
    cached(cache, "someone/trees", ("test",))
    (cache / "here" / "folder").mkdir(parents=True)
    names = (*ABSENT, "hub:someone/birds", "hub:someone/trees", "hub:here/folder")
    return dict(zip(names, asked(cache, *names, offline=request.param), strict=True))


def test_a_set_that_cannot_be_fetched_is_an_error_that_says_how_to_get_it(said: dict[str, str]) -> None:
    alias, named, wrong = (said[name] for name in ABSENT)
    assert alias.startswith("UnknownData cifar10 could not be fetched: the hub is out of reach and the cache")
    assert "hf download uoft-cs/cifar10 --repo-type dataset --local-dir DIR, then parquet:FOLDER" in alias
    assert "hub:someone/fish could not be fetched" in named and "hf download someone/fish" in named
    assert wrong.startswith("UnknownData hub:no such name could not be fetched")


def test_a_set_fetched_before_needs_no_network(said: dict[str, str]) -> None:
    assert said["hub:someone/birds"] == f"found 23 30 {CLASSES}"


def test_a_set_without_a_train_split_is_an_error_that_names_those_there_are(said: dict[str, str]) -> None:
    assert said["hub:someone/trees"] == "UnknownData hub:someone/trees has no train split, only test; give another set"


def test_a_folder_here_is_not_taken_for_a_set_of_the_hub(said: dict[str, str]) -> None:
    assert said["hub:here/folder"].startswith(
        "UnknownData hub:here/folder: here/folder here would be read in its stead"
    )
