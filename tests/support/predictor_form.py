"""What a predictor says of itself, of one that was fitted."""

from mnas_evo.latency.form import PredictorForm
from mnas_evo.latency.predictor import LatencyPredictor


def form_of(predictor: LatencyPredictor) -> PredictorForm:
    """What a fitted predictor says of itself."""
    assert predictor.form is not None
    return predictor.form
