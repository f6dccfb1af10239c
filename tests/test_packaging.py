"""The wheel, installed in a new virtual environment, is the whole program: help, tables and the agent run from it."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def command(*words: object, cwd: Path) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=900, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source archive, and the wheel built straight from a checkout in which somebody has profiled."""
    out, source = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("source") / "mnas_evo"
    ignored = shutil.ignore_patterns(".git", ".venv*", "demo", "runs", "dist", "build", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, source, ignore=ignored)
    (table, *_) = (source / "latency_tables").glob("*/device.json")
    (table.parent / "raw").mkdir(exist_ok=True)
    (table.parent / "raw" / "runs.jsonl").touch()
    (table.parent / ".lock").touch()
    command(sys.executable, "-m", "build", "--sdist", "--outdir", out, source, cwd=out)
    command(sys.executable, "-m", "build", "--wheel", "--outdir", out, source, cwd=out)
    return out


@pytest.mark.slow
def test_the_wheel_holds_agent_tables_spaces_and_recipes_and_no_raw_runs(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "mnas_evo/_bundled/profiling/agent.py",
        "mnas_evo/_bundled/profiling/PROTOCOL.md",
        "mnas_evo/_bundled/latency_tables/README.md",
        "mnas_evo/space/spaces/paper.toml",
        "mnas_evo/training/recipes/quick.toml",
    ):
        assert name in names
    assert not [
        name
        for name in names
        if "/raw/" in name or name.endswith(".lock") or name.startswith(("profiling", "latency_tables", "tests"))
    ]
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = source.getnames()
    assert any(name.endswith("/profiling/agent.py") for name in names)
    assert not [name for name in names if "/raw/" in name]


def environment_of(folder: Path, wheel: Path) -> Path:
    """A new virtual environment with the wheel alone, which finds what it depends on in this one; its programs.

    A path in a .pth file is searched last, and .pth files in it are not read: this checkout stays out of sight.
    """
    venv.create(folder, with_pip=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    command(*pip, "uninstall", "-q", "-y", "setuptools", cwd=folder)  # Python 3.11 puts an old one there
    command(*pip, "install", "-q", "--no-deps", wheel, cwd=folder)
    command(*pip, "check", cwd=folder)
    return folder / "bin"


@pytest.mark.slow
def test_the_wheel_runs_from_a_new_virtual_environment(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    programs = environment_of(tmp_path / "venv", wheel)
    script = programs / "mnas-evo"
    imported = command(programs / "python", "-c", "import mnas_evo; print(mnas_evo.__file__)", cwd=tmp_path)
    assert Path(imported.strip()).is_relative_to(tmp_path / "venv")
    assert "profile" in command(script, "--help", cwd=tmp_path)
    shipped = json.loads(command(script, "tables", "--json", cwd=tmp_path))
    assert shipped and all(str(tmp_path / "venv") in entry["folder"] for entry in shipped)
    strings = "32x32x1/stem8/r1_k3_s22_e3_o16/head16/10"
    said = command(script, "profile", "local", "--arch", strings, "--table", "mine", "--minutes", "0", cwd=tmp_path)
    assert "noise of networks" in said
    assert (tmp_path / "mine" / "ops.csv").exists()
    refused = subprocess.run(
        [script, "fit", "--table", shipped[0]["name"]], capture_output=True, text=True, cwd=tmp_path
    )
    assert refused.returncode == 2 and "read-only" in refused.stderr
