"""What a trained network's test showed: its figures, those of each class, and what was taken for what."""

from mnas_evo.report.elements import rows_html
from mnas_evo.report.evaluation_figures import MOST_CLASSES, calibration_plot, confusion_plot, predictions_plot
from mnas_evo.report.section import Body, row
from mnas_evo.report.words import ms, percent, several, text
from mnas_evo.shipping.evaluation import EvaluationForm

MOST_ROWS = 20  # of the table of classes; of more the worst are shown


def evaluation_body(tested: EvaluationForm) -> Body:
    """The test's part of the training's section."""
    words = f"<p>{text(tested.classes_said.capitalize())}.</p>" if tested.classes_said else ""
    if len(tested.class_names) > MOST_CLASSES:
        words += f"<p>A matrix of {len(tested.class_names):,} classes is not drawn here; confusion.svg is it.</p>"
    figures = row(_figures_table(tested), confusion_plot(tested))
    return (figures, words, row(predictions_plot(tested), calibration_plot(tested)), _classes_table(tested))


def _figures_table(tested: EvaluationForm) -> str:
    found = tested.metrics
    interval = f" (95 %: {found.top1_low:.2f} to {found.top1_high:.2f})"
    figures = [("Top-1", f"{percent(found.top1)}{interval}")]
    if len(found.confusion) > 5:
        figures.append(("Top-5", percent(found.top5)))
    figures += [
        ("Loss", f"{found.loss:.4g} nats"),
        ("Precision, mean over classes", percent(found.precision)),
        ("Recall, mean over classes", percent(found.recall)),
        ("F1, mean over classes", percent(found.f1)),
        ("Expected calibration error", percent(found.ece)),
    ]
    figures.append(("Confidence, mean", percent(found.confidence)))
    spread = percent(tested.latency_spread_percent)
    figures.append((f"Latency on {text(tested.device)}", f"{ms(tested.latency_ms)} (spread of visits {spread})"))
    quartiles = f"(quartiles {tested.torch_latency_iqr_ms:.2g} ms apart)"
    figures.append(("Latency in eager torch, where it was tested", f"{ms(tested.torch_latency_ms)} {quartiles}"))
    caption = f"The trained network on {several(tested.images, 'test image')} of {tested.data}."
    return rows_html(("Figure", "Value"), [list(row) for row in figures], caption=caption)


def _classes_table(tested: EvaluationForm) -> str:
    named = list(zip(tested.class_names, tested.metrics.classes, strict=True))
    shown = [(name, found) for name, found in named if found.f1 is not None]
    caption = "Each class; means count those with test images."
    if len(named) > MOST_ROWS:
        shown = sorted(shown, key=lambda each: each[1].f1 or 0.0)[:MOST_ROWS]
        caption = f"The {len(shown)} classes of {len(named):,} with the lowest F1; classes.csv has all."
    elif len(shown) < len(named):
        caption += f" Left out: {several(len(named) - len(shown), 'class', 'classes')} without any."
    rows = [
        [text(name), f"{c.support:,}", f"{c.predicted:,}", percent(c.precision), percent(c.recall), percent(c.f1)]
        for name, c in shown
    ]
    return rows_html(("Class", "Test images", "Predicted", "Precision", "Recall", "F1"), rows, caption=caption)
