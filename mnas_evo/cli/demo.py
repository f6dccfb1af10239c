"""`mnas-evo demo`: the whole job, small. It calls what the other commands call, in order, and every stage resumes."""

from pathlib import Path
from typing import Annotated

import typer

from mnas_evo.cli.terminal import print_table, stage

DATA = "digits"
TARGET = "local"
PROFILING_SHARE = 0.6  # of the time on the device; re-measuring takes the rest
GENERATIONS = 3
POPULATION = 16  # at most, so that a search that is given more evaluations later resumes
FINALISTS = 12
RECIPE = "digits"


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything; one that exists is gone on with.")] = Path("demo"),
    workers: Annotated[int, typer.Option(help="Processes that train, one thread each.", min=1)] = 2,
    target_ms: Annotated[
        float | None, typer.Option(help="Latency budget, ms; the front's knee is chosen without.")
    ] = None,
    space: Annotated[str, typer.Option(help="A space's name or TOML file, for grey images and 10 classes.")] = "digits",
    networks: Annotated[int, typer.Option(help="Networks to measure, on which the predictor is fitted.", min=10)] = 100,
    minutes: Annotated[
        float,
        typer.Option(
            help="Time on the device: three fifths to profile, two fifths to re-measure. 0 takes the fewest passes.",
            min=0,
        ),
    ] = 2.5,
    evaluations: Annotated[int, typer.Option(help="Networks that the search trains.", min=6)] = 48,
    trial_epochs: Annotated[int, typer.Option(help="Epochs of each network that the search trains.", min=1)] = 6,
    epochs: Annotated[int, typer.Option(help="Epochs of the final training.", min=1)] = 40,
) -> None:
    """The whole job, small, on this machine: profile, fit, search, re-measure, train, export, report.

    Data: 1,797 scans of handwritten digits that come with scikit-learn. Five minutes or so on two cores. Stopped or
    killed at any moment, the same command resumes.

    Example: mnas-evo demo --evaluations 12 --trial-epochs 1 --epochs 10 --minutes 0.5
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
    loaded, target = load_space(space), parse_target(TARGET)
    with opened(target) as device:
        with stage("profiling") as report:
            request = ProfileRequest(loaded, networks=networks)
            measured, _ = profile(
                table, device, request, target=str(target), minutes=PROFILING_SHARE * minutes, progress=report
            )
        with stage("fitting") as report:
            report(0.0, f"{networks} networks")
            try:
                predictor = load_predictor(table)
            except RequestError:  # none yet, or of an earlier, unfinished profile
                predictor = fit(table)
        with stage("searching") as report:
            searched = SearchRequest(
                space,
                (str(table),),
                f"proxy:{DATA},epochs={trial_epochs},recipe=quick",
                algorithm="nsga2",
                settings={"population": min(POPULATION, evaluations // GENERATIONS)},
                evaluations=evaluations,
                workers=workers,
            )
            ending = search(run, searched, progress=lambda done, note: report(done / evaluations, f"{done} {note}"))
        with stage("re-measuring") as report:
            remeasured = remeasure(
                run,
                device,
                top=FINALISTS,
                minutes=(1 - PROFILING_SHARE) * minutes,
                progress=report,
                target_ms=target_ms,
            )
        form, archive = open_run(run)
        with archive:
            best = front(candidates(archive), form.objectives)
        chosen = choose(best, target_ms=target_ms)
        with stage("training") as report:
            final = TrainingRequest(parse_network(chosen.network), DATA, load_recipe(RECIPE).with_epochs(epochs))
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
