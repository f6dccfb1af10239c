"""The raw log: what was appended is read, a torn last line is forgotten, and any other damage is told."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import runs
from support.known_times import FACTS

from mnas_evo.errors import DamagedFile
from mnas_evo.latency.runs import DeviceFacts, Run, RunLog

RUN = Run(3, "conv_k3", (1200, 1100), 5000, {"load": 0.5})
LINE = '{"pass":0,"slot":3,"item":"conv_k3","times_ns":[1200,1100],"wall_ns":5000,"state":{"load":0.5}}'


@given(st.lists(st.tuples(st.integers(0, 50), runs()), max_size=5))
def test_what_was_appended_is_read(found: list[tuple[int, Run]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = RunLog(Path(folder) / "raw" / "runs.jsonl")
        for number, run in found:
            log.append(number, run)
        assert log.read() == found


def test_a_log_that_was_never_written_is_empty(tmp_path: Path) -> None:
    assert RunLog(tmp_path / "runs.jsonl").read() == []


def test_a_run_is_one_line_of_json(tmp_path: Path) -> None:
    RunLog(tmp_path / "runs.jsonl").append(0, RUN)
    assert (tmp_path / "runs.jsonl").read_text() == f"{LINE}\n"


@given(st.lists(runs(), min_size=1, max_size=3), st.data())
def test_a_last_line_torn_anywhere_is_cut_off_and_the_next_run_follows_whole(
    found: list[Run], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.jsonl"
        log = RunLog(path)
        for run in found:
            log.append(0, run)
        content = path.read_bytes()
        last = content[:-1].rfind(b"\n") + 1
        path.write_bytes(content[: data.draw(st.integers(last, len(content) - 1))])
        assert log.read() == [(0, run) for run in found[:-1]]
        log.append(1, RUN)
        assert log.read() == [*((0, run) for run in found[:-1]), (1, RUN)]


@pytest.mark.parametrize(
    "damaged",
    [
        "no JSON at all",
        LINE[:-8],
        "[1, 2]",
        "null",
        "",
        LINE.replace('"pass":0,', ""),
        LINE.replace('"times_ns":[1200,1100]', '"times_ns":1200'),
        LINE.replace('"times_ns":[1200,1100]', '"times_ns":[NaN]'),
        LINE.replace('"times_ns":[1200,1100]', '"times_ns":[1e999]'),
        LINE.replace('"times_ns":[1200,1100]', '"times_ns":[-1200]'),
        LINE.replace('"wall_ns":5000', '"wall_ns":Infinity'),
        LINE.replace('"slot":3', '"slot":null'),
        LINE.replace('"state":{"load":0.5}', '"state":[]'),
        LINE.replace('"state":{"load":0.5}', '"state":{"load":"high"}'),
    ],
)
def test_a_damaged_line_is_named_by_its_number(damaged: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(f"{LINE}\n{damaged}\n{LINE}\n")
    with pytest.raises(DamagedFile, match=r"runs\.jsonl, line 2: "):
        RunLog(path).read()


def test_bytes_that_are_no_text_are_named_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(LINE.encode() + b"\n\xff\xfe\x00\n")
    with pytest.raises(DamagedFile, match=r"runs\.jsonl, line 2: "):
        RunLog(path).read()


def test_a_damaged_log_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text(f"{LINE}\nno JSON\n{LINE}\n")
    with pytest.raises(DamagedFile):
        RunLog(path).read()
    assert path.read_text() == f"{LINE}\nno JSON\n{LINE}\n"


# Facts


@pytest.mark.parametrize(
    ("name", "value"),
    [("soc", "x"), ("runtime", "x"), ("runtime_version", "x"), ("threads", 2), ("precision", "int8"), ("batch", 8)],
)
def test_devices_that_time_differently_differ_and_say_in_what(name: str, value: object) -> None:
    other = FACTS.model_copy(update={name: value})
    (difference,) = FACTS.differences(other)
    assert difference == f"{name} {getattr(FACTS, name)!r} against {value!r}"


@pytest.mark.parametrize("name", ["name", "os", "governor", "agent"])
def test_what_does_not_make_times_incomparable_is_no_difference(name: str) -> None:
    assert FACTS.differences(FACTS.model_copy(update={name: "x"})) == []


def test_facts_stand_in_json_and_come_back() -> None:
    assert DeviceFacts.model_validate(json.loads(FACTS.model_dump_json())) == FACTS
