"""The demo, killed with SIGKILL in every stage and started again, ends as one that was never killed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("mnas-evo")


def lines(pattern: str) -> Callable[[Path], int]:
    def count(folder: Path) -> int:
        paths = [path for path in folder.glob(pattern) if "scout" not in str(path)]
        return sum(path.read_bytes().count(b"\n") for path in paths)

    return count


def tells(folder: Path) -> int:
    try:
        connection = sqlite3.connect(f"file:{folder / 'run' / 'archive.sqlite'}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return 0
    try:
        return int(connection.execute("SELECT count(*) FROM tells").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


# A stage, and how to see from outside that it is under way.
MOMENTS: dict[str, Callable[[Path], bool]] = {
    "profiling": lambda folder: lines("table/raw/*/runs.jsonl")(folder) > 1500,
    "fitting": lambda folder: (folder / "table" / "device.json").exists(),
    "searching": lambda folder: tells(folder) >= 21,
    "re-measuring": lambda folder: lines("run/remeasure/*/runs.jsonl")(folder) > 20,
    "training": lambda folder: (folder / "training" / "last.ckpt").exists(),
}


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [SCRIPT, "demo", "--out", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


def evaluated(run: Path) -> list[tuple[int, int, str, float]]:
    connection = sqlite3.connect(run / "archive.sqlite")
    rows = connection.execute(
        "SELECT batch, slot, network, value FROM tells JOIN tell_values USING (batch, slot) WHERE quantity = 'top1' "
        "ORDER BY batch, slot"
    ).fetchall()
    connection.close()
    return rows


@pytest.mark.slow
def test_a_demo_killed_in_every_stage_ends_with_every_evaluation_once(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    for stage, under_way in MOMENTS.items():
        process = start(folder)
        deadline = time.monotonic() + 600
        while not under_way(folder):
            assert process.poll() is None, f"ended before {stage}: {process.communicate()[0].decode()}"
            assert time.monotonic() < deadline, f"{stage} was not reached"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)  # the process alone: what it started has to end by itself
        process.communicate(timeout=60)
        before = tells(folder)
        with pytest.raises(ProcessLookupError):  # no worker and no agent outlives it
            for _ in range(200):
                os.killpg(process.pid, 0)
                time.sleep(0.1)
        assert tells(folder) == before
    process = start(folder)
    output = process.communicate(timeout=900)[0].decode()
    assert process.returncode == 0, output
    for word in ("device", "noise ceiling", "predictor", "chosen", "test top-1", "report", "ONNX"):
        assert word in output
    for path in ("report.html", "training/model.pt", "training/model.onnx"):
        assert (folder / path).stat().st_size > 10_000
    rows = evaluated(folder / "run")
    assert len({network for _, _, network, _ in rows}) == len(rows) == 48
    assert [(batch, slot) for batch, slot, _, _ in rows] == [(b, s) for b in range(3) for s in range(16)]
    # The same search on the same table, never killed.
    asked = json.loads((folder / "run" / "run.json").read_text())
    search = ["search", "--space", asked["space"], "--table", asked["tables"][0], "--accuracy", asked["accuracy"]]
    search += [
        "--algorithm",
        asked["algorithm"],
        "--population",
        str(asked["settings"]["population"]),
        "--evaluations",
        str(asked["evaluations"]),
        "--workers",
        "2",
    ]
    done = subprocess.run([SCRIPT, *search, "--run", tmp_path / "whole"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert evaluated(tmp_path / "whole") == rows
