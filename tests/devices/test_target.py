"""How a device is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas_evo.devices.agent_process import AgentProcess
from mnas_evo.devices.target import RUNTIMES, Target, open_device, parse_target
from mnas_evo.errors import UnknownTarget


@given(
    st.builds(
        Target,
        runtime=st.sampled_from(RUNTIMES),
        threads=st.integers(1, 512),
        precision=st.sampled_from(["fp32", "int8"]),
    )
)
def test_a_target_is_read_as_it_is_written(target: Target) -> None:
    assert parse_target(str(target)) == target


@pytest.mark.parametrize("text", ["local", "local:", "local:onnxruntime", "local?threads=1", "local?precision=fp32"])
def test_what_is_left_unsaid_is_onnxruntime_on_one_thread_at_fp32(text: str) -> None:
    assert parse_target(text) == Target("onnxruntime", 1, "fp32")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "unknown target ''"),
        ("pixel6", "unknown target 'pixel6'"),
        ("LOCAL", "unknown target 'LOCAL'"),
        ("local2:onnxruntime", "unknown target 'local2:onnxruntime'"),
        ("local:tflite", "names runtime 'tflite'; known are onnxruntime"),
        ("local?thread=1", "unknown options thread"),
        ("local?threads=1&cores=2&clock=3", "unknown options clock, cores"),
        ("local?threads", "options that cannot be read"),
        ("local?threads=", "threads"),
        ("local?threads=0", "threads is a positive number, not '0'"),
        ("local?threads=-1", "threads is a positive number, not '-1'"),
        ("local?threads=two", "threads is a positive number, not 'two'"),
        ("local?threads=1.5", "threads is a positive number, not '1.5'"),
        ("local?threads=²", "threads is a positive number, not '²'"),
        ("local?threads=1&threads=4", "threads"),
    ],
)
def test_a_target_that_names_nothing_is_refused_with_the_part_that_does_not(text: str, said: str) -> None:
    with pytest.raises(UnknownTarget, match=said):
        parse_target(text)


@given(st.text() | st.text().map(lambda text: f"local?{text}"))
def test_no_text_ends_in_another_error_than_the_projects(text: str) -> None:
    try:
        target = parse_target(text)
    except UnknownTarget:
        return
    assert target.threads >= 1


def test_opening_a_device_starts_nothing() -> None:
    device = open_device(Target("no such runtime"))
    assert isinstance(device, AgentProcess)
    device.close()
