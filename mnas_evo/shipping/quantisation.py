"""An exported network in int8: onnxruntime's static quantisation in its QDQ form, calibrated on images.

Weights are signed, symmetric and by channel, activations unsigned and by tensor: on x86, onnxruntime takes 2.8 times
fp32's time for signed ones, and .45 to .9 for unsigned. Weights have all 8 bits: with 7, which never overflow on
processors without VNNI, EfficientNet-Lite0 agreed with fp32 on 86 % of photographs, not 92; an option of the session
does the same at no loss (runners.py). onnxruntime's own preparation of a model (quant_pre_process) has nothing left to
do: our writer folds batch norm, and the quantiser infers shapes itself.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, create_calibrator

from mnas_evo.shipping.node_groups import named_nodes

Method = Literal["minmax", "entropy", "percentile"]
Images = NDArray[np.float32]

METHODS: dict[Method, CalibrationMethod] = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
_OPS = ["Conv", "Relu", "Clip", "Add", "Mul", "Sigmoid", "GlobalAveragePool", "AveragePool", "Flatten", "Gemm"]


def calibrate(content: bytes, batches: Iterable[Images], *, method: Method) -> Any:
    """The range of every value of an exported network over normalised images, as onnxruntime's TensorsData.

    Only one batch's values are held at a time.
    """
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        path = Path(scratch) / "model.onnx"
        path.write_bytes(content)
        calibrator = create_calibrator(
            path,
            _OPS,
            augmented_model_path=str(Path(scratch) / "augmented.onnx"),
            calibrate_method=METHODS[method],
            providers=["CPUExecutionProvider"],
        )
        for images in batches:
            calibrator.collect_data(_Once({"images": images}))
        return calibrator.compute_data()


def quantise(content: bytes, ranges: Any, *, in_float: Iterable[str] = (), metadata: Mapping[str, str]) -> bytes:
    """The same network in int8 with the ranges of `calibrate`; the nodes named in `in_float` stay as they are."""
    with _quiet():
        quantizer = QDQQuantizer(
            named_nodes(content),
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=list(in_float),
            op_types_to_quantize=_OPS,
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    model: onnx.ModelProto = quantizer.model.model
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class _Once:
    """One batch as onnxruntime's calibrators read images."""

    def __init__(self, feed: Mapping[str, Images]) -> None:
        self._feed: Mapping[str, Images] | None = feed

    def get_next(self) -> Mapping[str, Images] | None:
        """The batch, then nothing."""
        feed, self._feed = self._feed, None
        return feed


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's tools print, set up logging for the whole process, and divide by zero on purpose."""
    silent = logging.NullHandler()
    logging.root.addHandler(silent)
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            yield
    finally:
        logging.root.removeHandler(silent)
