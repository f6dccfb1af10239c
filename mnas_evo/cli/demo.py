"""`mnas-evo demo`: the whole job, small. It calls what the other commands call, in order, and every stage resumes."""

from pathlib import Path
from typing import Annotated

import typer

from mnas_evo.cli.terminal import print_table, stage

SPACE = "digits"
DATA = "digits"
TARGET = "local"
ACCURACY = f"proxy:{DATA},epochs=6,recipe=quick"
PROFILE_MINUTES = 1.5
NETWORKS = 100
EVALUATIONS = 48
POPULATION = 16
FINALISTS = 12
RECIPE = "digits"


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything; one that exists is gone on with.")] = Path("demo"),
    workers: Annotated[int, typer.Option(help="Processes that train, one thread each.", min=1)] = 2,
    target_ms: Annotated[
        float | None, typer.Option(help="Latency budget, ms; the front's knee is chosen without.")
    ] = None,
) -> None:
    """The whole job, small, on this machine: profile, fit, search, re-measure, train, export, report.

    Data: 1,797 scans of handwritten digits that come with scikit-learn. Five minutes or so on two cores. Stopped or
    killed at any moment, the same command goes on where it was.
    """
    from mnas_evo.devices.profile import ProfileRequest, profile
    from mnas_evo.devices.target import opened, parse_target
    from mnas_evo.errors import RequestError
    from mnas_evo.finalists.choose import choose
    from mnas_evo.finalists.final_training import TrainingRequest, train_final
    from mnas_evo.finalists.remeasure import remeasure
    from mnas_evo.latency.fitting import fit
    from mnas_evo.latency.predictor import load_predictor
    from mnas_evo.report.page import write_report
    from mnas_evo.search.front import candidates, front
    from mnas_evo.search.run import SearchRequest, open_run, search
    from mnas_evo.shipping.evaluation import evaluate
    from mnas_evo.shipping.fp32 import export_onnx
    from mnas_evo.space.notation import parse_network
    from mnas_evo.space.space_file import load_space
    from mnas_evo.training.loop import Watching
    from mnas_evo.training.recipe import load_recipe

    table, run, training = out / "table", out / "run", out / "training"
    space, target = load_space(SPACE), parse_target(TARGET)
    with opened(target) as device:
        with stage("profiling") as report:
            request = ProfileRequest(space, networks=NETWORKS)
            measured, _ = profile(table, device, request, target=str(target), minutes=PROFILE_MINUTES, progress=report)
        with stage("fitting") as report:
            report(0.0, f"{NETWORKS} networks")
            try:
                predictor = load_predictor(table)
            except RequestError:  # none yet, or of an earlier, unfinished profile
                predictor = fit(table)
        with stage("searching") as report:
            searched = SearchRequest(
                SPACE,
                (str(table),),
                ACCURACY,
                algorithm="nsga2",
                settings={"population": POPULATION},
                evaluations=EVALUATIONS,
                workers=workers,
            )
            ending = search(run, searched, progress=lambda done, note: report(done / EVALUATIONS, f"{done} {note}"))
        with stage("re-measuring") as report:
            remeasured = remeasure(run, device, top=FINALISTS, minutes=1.0, progress=report, target_ms=target_ms)
        form, archive = open_run(run)
        with archive:
            best = front(candidates(archive), form.objectives)
        chosen = choose(best, target_ms=target_ms)
        with stage("training") as report:
            final = TrainingRequest(parse_network(chosen.network), DATA, load_recipe(RECIPE))
            checkpoint = train_final(training, final, watching=Watching(report))
        with stage("evaluating") as report:
            evaluation = evaluate(training, checkpoint, data=DATA, device=device, progress=report)
    with stage("exporting"):
        exported = export_onnx(checkpoint, training / "model.onnx")
        page = write_report(out, out / "report.html")

    from mnas_evo.cli.search_commands import print_front

    quality = predictor.form
    assert quality is not None, "the demo's table has measured networks, so that its predictor was fitted"
    chosen_quality = quality.methods[quality.chosen].whole
    why = "the knee" if target_ms is None else f"the most accurate within {target_ms:g} ms"
    passes = measured.campaigns[-1].passes
    noise = float("nan") if quality.noise_percent is None else quality.noise_percent
    print_front("front (rank by latency)", best, form.objectives)
    print(remeasured.in_words())
    for line in remeasured.limit_words():
        print(line)
    print_table(
        "summary",
        ("", "figure"),
        [
            ("device", f"{measured.device.soc}, {measured.device.runtime} {measured.device.runtime_version}"),
            ("measured", f"{len(measured.rows)} rows, {len(measured.networks)} networks, {passes} passes"),
            ("noise ceiling", f"{noise:.2f} % of a network's time"),
            (
                "predictor",
                f"{quality.chosen}: error {chosen_quality.mape:.2f} %, within 5 % {chosen_quality.w5:.0f} %, "
                f"Kendall {chosen_quality.kendall:.3f} (out of fold)",
            ),
            ("search", f"{ending.evaluations} networks trained, {len(best)} on the front"),
            ("chosen", f"{why}: {chosen.network}"),
            ("latency", f"{chosen.quantity('latency_ms'):.4g} ms measured, {chosen.predicted_ms:.4g} ms predicted"),
            ("test top-1", f"{evaluation.metrics.top1:.2f} % on {evaluation.images} images no search has seen"),
            ("ONNX", f"{exported.path} (agrees with torch to {exported.relative_difference:.1e})"),
            ("report", str(page)),
        ],
    )
