"""`mnas-evo demo`, killed with SIGKILL in every stage and started again until it ends."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("mnas-evo")
Evaluation = tuple[int, int, str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """A demo's options, how many networks it evaluates at a time and in all, and when in a stage it is killed."""

    options: Sequence[str]
    batches: int
    batch: int
    profiled_lines: int  # of the campaign, the pilot run's aside
    remeasured_lines: int = 20
    patience_seconds: int = 600  # for a stage to begin

    def is_under_way(self, stage: str, folder: Path) -> bool:
        """Whether a stage has begun, as seen from outside."""
        match stage:
            case "profiling":
                return lines(folder, "table/raw/*/runs.jsonl") > self.profiled_lines
            case "fitting":
                return (folder / "table" / "device.json").exists()
            case "searching":
                return tells(folder) >= self.batch + max(1, self.batch // 3)
            case "re-measuring":
                return lines(folder, "run/remeasure/*/runs.jsonl") > self.remeasured_lines
            case _:
                return (folder / "training" / "last.ckpt").exists()


STAGES = ("profiling", "fitting", "searching", "re-measuring", "training")
WHOLE = Size((), batches=3, batch=16, profiled_lines=1500, patience_seconds=3600)


def lines(folder: Path, pattern: str) -> int:
    """Lines of the logs of a pattern, the pilot run's aside."""
    paths = [path for path in folder.glob(pattern) if "scout" not in str(path)]
    return sum(path.read_bytes().count(b"\n") for path in paths)


def tells(folder: Path) -> int:
    """Evaluations in the archive so far."""
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


def evaluated(run: Path) -> list[Evaluation]:
    """Every evaluation of a run in its order: batch, slot, network, top-1."""
    connection = sqlite3.connect(run / "archive.sqlite")
    rows = connection.execute(
        "SELECT batch, slot, network, value FROM tells JOIN tell_values USING (batch, slot) WHERE quantity = 'top1' "
        "ORDER BY batch, slot"
    ).fetchall()
    connection.close()
    return rows


def check_killed_demo(folder: Path, size: Size) -> int:
    """Kills a demo in every stage, lets it end, and checks that it ends as one that was never killed does.

    Returns the number of evaluations.
    """
    demo = folder / "demo"
    for stage in STAGES:
        _kill_in(stage, demo, size)
    process = _start(demo, size)
    output = process.communicate(timeout=2 * size.patience_seconds)[0].decode()
    assert process.returncode == 0, output
    for word in ("device", "noise ceiling", "predictor", "chosen", "test top-1", "report", "ONNX"):
        assert word in output
    for path in ("report.html", "training/model.pt", "training/model.onnx"):
        assert (demo / path).stat().st_size > 10_000
    rows = evaluated(demo / "run")
    assert len({network for _, _, network, _ in rows}) == len(rows) == size.batches * size.batch
    assert [(batch, slot) for batch, slot, _, _ in rows] == [
        (batch, slot) for batch in range(size.batches) for slot in range(size.batch)
    ]
    assert _evaluated_without_a_kill(demo / "run", folder / "whole", size) == rows
    return len(rows)


def _start(demo: Path, size: Size) -> subprocess.Popen[bytes]:
    command = [str(SCRIPT), "demo", "--out", str(demo), *size.options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def _kill_in(stage: str, demo: Path, size: Size) -> None:
    process = _start(demo, size)
    deadline = time.monotonic() + size.patience_seconds
    try:
        while not size.is_under_way(stage, demo):
            assert process.poll() is None, f"ended before {stage}: {process.communicate()[0].decode()}"
            assert time.monotonic() < deadline, f"{stage} was not reached"
            time.sleep(0.01)
    except BaseException:
        process.kill()
        raise
    os.kill(process.pid, signal.SIGKILL)  # the process alone: what it started has to end by itself
    process.communicate(timeout=60)
    before = tells(demo)
    with pytest.raises(ProcessLookupError):  # no worker and no agent outlives it
        for _ in range(200):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    assert tells(demo) == before


def _evaluated_without_a_kill(killed: Path, run: Path, size: Size) -> list[Evaluation]:
    """Evaluations of the same search on the same table, never killed."""
    asked = json.loads((killed / "run.json").read_text())
    options = {
        "space": asked["space"],
        "table": asked["tables"][0],
        "accuracy": asked["accuracy"],
        "algorithm": asked["algorithm"],
        "population": asked["settings"]["population"],
        "evaluations": asked["evaluations"],
        "workers": 1,  # in its own process: how many there are changes nothing, and each costs its imports
        "run": run,
    }
    command = [str(SCRIPT), "search"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * size.patience_seconds)
    assert done.returncode == 0, done.stderr
    return evaluated(run)
