"""How the predictor's error fell as it was fitted on more networks, and whether still more would help."""

import shlex

import numpy as np

from mnas_evo.latency.form import PredictorForm
from mnas_evo.report.palette import BLUE, GREEN
from mnas_evo.report.plot import Plot, empty_figure, line
from mnas_evo.report.table_folder import TablePart
from mnas_evo.report.words import percent, several, text

_APART = 1.4  # times the one before: a number nearer to the last would touch it
WORTH_PERCENT = 10.0  # of the error: a doubling that takes off less is hardly worth the device's time


def learning_plot(fit: PredictorForm) -> Plot | None:
    """Error over the number of networks fitted on, with the noise of the times; None of a curve of one point."""
    if len(fit.curve) < 2:
        return None
    networks = [point.networks for point in fit.curve]
    errors = [point.quality.mape for point in fit.curve]
    figure = empty_figure("Networks fitted on", "Mean error, out of fold (%)")
    curve = line(networks, errors, name="error", colour=BLUE.light, width=2, hoverinfo="text")
    texts = [
        f"{several(point.networks, 'network')}<br>off by {percent(point.quality.mape)} on average"
        f"<br>{percent(point.quality.w5, digits=1)} of the networks within 5 %"
        for point in fit.curve
    ]
    figure.add_trace(curve.update(mode="lines+markers", marker={"color": BLUE.light, "size": 7}, hovertext=texts))
    if fit.noise_percent is not None:
        ends, noise = [networks[0], networks[-1]], [fit.noise_percent] * 2
        figure.add_trace(
            line(ends, noise, name="noise of a time", colour=GREEN.light, width=2, dash="dash", hoverinfo="skip")
        )
    shown = [n for n in networks[:-1] if networks[-1] >= _APART * n] + networks[-1:]
    figure.update_xaxes(type="log", tickmode="array", tickvals=shown, ticktext=[f"{n:,}" for n in shown], tickangle=0)
    figure.update_yaxes(rangemode="tozero")
    below = " No error can be seen below the noise of the times." if fit.noise_percent is not None else ""
    return Plot(
        "learning",
        "Error by number of networks",
        f"Each network is priced by a fit that never saw it; the last fits had four fifths of the "
        f"{fit.networks:,}.{below}",
        figure,
        f"Line plot of the error, from {percent(errors[0])} with {several(networks[0], 'network')} to "
        f"{percent(errors[-1])} with {several(networks[-1], 'network')}.",
    )


def learning_words(table: TablePart, fit: PredictorForm) -> str:
    """Whether more measured networks would lower the error, as its last doubling tells: HTML."""
    last = fit.curve[-1].networks
    gain = last_doubling_percent(fit)
    if gain is None:
        return f"With {several(fit.networks, 'network')} it cannot be told yet whether more would lower the error."
    said = f"The last doubling of networks fitted on, to {last:,}, "
    said += f"took {gain:.0f} % off the error" if gain > 0 else "took nothing off the error"
    if gain <= WORTH_PERCENT:
        return f"{said}: more networks would hardly lower it."
    mend = ""
    if table.table.campaigns:
        words = ["--table", str(table.folder), "--space", "SPACE", "--networks", str(2 * fit.networks)]
        mend = f" Measure them: <code>{text(shlex.join(['mnas-evo', 'profile', 'TARGET', *words]))}</code>"
    return f"{said}: more networks would still lower it.{mend}"


def last_doubling_percent(fit: PredictorForm) -> float | None:
    """What the last doubling took off the error, percent of it; None where the curve does not reach so far back."""
    networks = [point.networks for point in fit.curve]
    if networks[-1] < 2 * networks[0]:
        return None
    errors = np.log([point.quality.mape for point in fit.curve])  # a power law's is straight over a log axis
    return float(100 * (1 - np.exp(errors[-1] - np.interp(np.log(networks[-1] / 2), np.log(networks), errors))))
