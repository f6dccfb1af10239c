"""Exports a network to be shipped: fp32, int8 if asked, both checked against torch and timed, figures kept beside them.

NAME.onnx   NAME.int8.onnx   NAME.export.json
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mnas_evo.errors import RequestError
from mnas_evo.files import versions, write_bytes, write_form
from mnas_evo.shipping.export_data import Labelled, read_judging, read_test
from mnas_evo.shipping.export_form import Answers, ExportForm, FileFigures, lost_of
from mnas_evo.shipping.fp32 import export_onnx
from mnas_evo.shipping.in_turn import SECONDS, Times, latency, ratio, time_in_turn
from mnas_evo.shipping.making_int8 import make_int8
from mnas_evo.shipping.processor import has_int8_dot_products, processor_name
from mnas_evo.shipping.quantisation import Method
from mnas_evo.shipping.runners import Floats, Runner, onnx_runner, predictions, torch_runner
from mnas_evo.space.notation import format_network
from mnas_evo.training.checkpoint import Checkpoint
from mnas_evo.training.places import one_thread

METHOD: Method = "minmax"

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Int8Request:
    """How int8 is made: calibration images (None: 512, or all where there are fewer), what finds ranges, and a seed."""

    calibration: int | None = None
    method: Method = METHOD
    seed: int = 0


def export(
    checkpoint: Checkpoint,
    out: Path,
    *,
    data: str | None = None,
    int8: Int8Request | None = None,
    seconds: float | None = None,
    progress: Progress = lambda share, text: None,
) -> ExportForm:
    """Writes the fp32 file at `out`, the int8 file and the figures beside it; what was there is replaced whole.

    With `data`, top-1 on its test images is told; int8 is calibrated on training images, and judged on validation
    images where parts of it might better stay in float. `seconds` are for timing (None: 3 with int8, whose ratio to
    fp32 is to be known well, else 1).

    Raises:
        RequestError: a name that does not end in .onnx, int8 without data, more calibration images than there are, or
            images or classes that do not fit.
        UnknownData: no such data set.
        DamagedFile: images that cannot be read.
        MnasEvoError: the outputs differ from torch's; nothing is written.
    """
    if int8 is not None and data is None:
        raise RequestError("int8 is calibrated on training images; give --data DATA, of the network's classes")
    if out.suffix != ".onnx":
        raise RequestError(f"{out} is no name of an ONNX file; give --out {out.with_suffix('.onnx')}")
    progress(0.0, "reading images")
    test, said = (None, "") if data is None else read_test(checkpoint, data)
    judging = None
    if int8 is not None and data is not None:
        judging = read_judging(checkpoint, data, calibration=int8.calibration, seed=int8.seed)
    exported = export_onnx(checkpoint, out)
    for old in (form_path(out), int8_path(out)):  # they are of the file that was there
        old.unlink(missing_ok=True)
    files = {out: exported.path.read_bytes()}
    calibration = None
    if int8 is not None and judging is not None:
        files[int8_path(out)], calibration = make_int8(
            checkpoint,
            files[out],
            judging,
            method=int8.method,
            seed=int8.seed,
            progress=lambda share, text: progress(0.1 + 0.5 * share, text),
        )
        write_bytes(int8_path(out), files[int8_path(out)])
    progress(0.6, "timing")
    times = _timed(checkpoint, files, seconds=_seconds(files) if seconds is None else seconds)
    progress(0.8, "test images" if test else "timed")
    answers = {} if test is None else _answers(checkpoint, files, test)
    form = ExportForm(
        network=format_network(checkpoint.network),
        trained_on=checkpoint.data,
        relative_difference=exported.relative_difference,
        fp32=_figures(out, files, times, answers, test),
        torch_latency=latency(times["torch"]),
        device=processor_name(),
        versions=versions(),
        data=data,
        images=0 if test is None else len(test.labels),
        classes_said=said,
        torch_top1=_top1(answers, "torch", test),
        int8_dot_products=has_int8_dot_products(),
    )
    if test is not None:
        agreement = 100 * float((answers["torch"] == answers[out.name]).mean())
        form = form.model_copy(update={"torch_agreement_percent": agreement})
    if calibration is not None and test is not None:
        other = int8_path(out)
        form = form.model_copy(
            update={
                "int8": _figures(other, files, times, answers, test),
                "calibration": calibration,
                "lost": lost_of(test.labels, answers[out.name], answers[other.name]),
                "ratio": ratio(times[other.name], times[out.name]),
            }
        )
    write_form(form_path(out), form)
    return form


def int8_path(out: Path) -> Path:
    """Where the int8 file of an export lies."""
    return out.with_name(f"{out.stem}.int8{out.suffix}")


def form_path(out: Path) -> Path:
    """Where the figures of an export lie."""
    return out.with_name(f"{out.stem}.export.json")


def _seconds(files: dict[Path, bytes]) -> float:
    return SECONDS if len(files) > 1 else SECONDS / 3


def _timed(checkpoint: Checkpoint, files: dict[Path, bytes], *, seconds: float) -> dict[str, Times]:
    frame = checkpoint.network.frame
    shape = (1, frame.channels, frame.height, frame.width)
    image = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    runners = {"torch": torch_runner(checkpoint)}
    runners |= {path.name: onnx_runner(content, threads=1) for path, content in files.items()}
    with one_thread():
        return time_in_turn({name: _on(run, image) for name, run in runners.items()}, seconds=seconds)


def _on(run: Runner, image: Floats) -> Callable[[], object]:
    return lambda: run(image)


def _answers(checkpoint: Checkpoint, files: dict[Path, bytes], test: Labelled) -> dict[str, Answers]:
    runners = {"torch": torch_runner(checkpoint)}
    threads = torch.get_num_threads()  # whoever limits torch limits both
    runners |= {path.name: onnx_runner(content, threads=threads) for path, content in files.items()}
    return {name: predictions(run, checkpoint, test.images) for name, run in runners.items()}


def _figures(
    path: Path, files: dict[Path, bytes], times: dict[str, Times], answers: dict[str, Answers], test: Labelled | None
) -> FileFigures:
    return FileFigures(path.name, len(files[path]), latency(times[path.name]), _top1(answers, path.name, test))


def _top1(answers: dict[str, Answers], name: str, test: Labelled | None) -> float | None:
    return None if test is None else 100 * float((answers[name] == test.labels).mean())
