"""Evaluates networks one by one or in several processes, outside a search too, where each result is kept as it ends."""

import csv
import hashlib
import io
import math
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from os import _exit
from pathlib import Path

from mnas_evo.accuracy.contract import Evaluate, Evaluation, Evaluator, Surrogate
from mnas_evo.errors import DamagedFile, MnasEvoError, RequestError, RunChanged, TrainingFailed
from mnas_evo.files import csv_columns, fingerprint, only_writer, read_csv, read_text, write_text
from mnas_evo.space.architecture import Network
from mnas_evo.space.notation import format_network
from mnas_evo.space.space import SearchSpace
from mnas_evo.training.places import WORKER

KEPT_COLUMNS = ("architecture", "top1", "source", "seconds", "message", "fingerprint")

Workers = int | str
"""Processes of this machine, or a Ray cluster: ray, ray://HOST:PORT, HOST:PORT."""

Done = Callable[[int, int], None]
"""Called with the number of networks done and of all that are to do."""


def parse_workers(text: str) -> Workers:
    """Workers as they are named on the command line; what is no number is left for `evaluating` to judge."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,6}", text.strip()) else text.strip()


def network_seed(seed: int, network: str) -> int:
    """The seed an architecture is evaluated with: its own in every run of one seed, whatever the order."""
    return int.from_bytes(hashlib.sha256(f"{seed} {network}".encode()).digest()[:4], "big") >> 1


def evaluate_all(
    evaluator: Evaluator, networks: Sequence[Network], *, seed: int, workers: Workers
) -> Iterator[tuple[Network, Evaluation | str]]:
    """Evaluates networks outside any search, in the order they end; a failure comes as its message."""
    if not networks:
        return
    tasks = [(network, network_seed(seed, format_network(network))) for network in networks]
    with evaluating(evaluator, workers) as evaluate:
        for number, result in evaluate(tasks):
            yield networks[number], result


def evaluate_kept(
    path: Path, evaluator: Evaluator, networks: Sequence[Network], *, seed: int, workers: Workers, done: Done
) -> dict[str, float | str]:
    """Top-1, percent, of networks by their full strings, or why there is none; what the CSV has is not evaluated again.

    Each result is in the file before the next is waited for: a kill loses no more than what was being evaluated.

    Raises:
        RunChanged: the file holds what another source said, or this one with another seed.
        DamagedFile: a line of it cannot be read.
        InUse: another process adds to it.
    """
    pin = fingerprint(evaluator.fingerprint, str(seed))
    asked = {format_network(network): network for network in networks}
    with only_writer(path):
        kept = _read_kept(path, pin) if path.exists() else {}
        left = [network for name, network in asked.items() if name not in kept]
        done(len(asked) - len(left), len(asked))
        for number, (network, result) in enumerate(
            evaluate_all(evaluator, left, seed=seed, workers=workers), start=len(asked) - len(left) + 1
        ):
            name = format_network(network)
            line: dict[str, object] = {"architecture": name, "fingerprint": pin}
            if isinstance(result, Evaluation):
                line |= {"source": result.source, "seconds": f"{result.seconds:.3f}"}
                kept[name] = result.top1 if math.isfinite(result.top1) else f"top-1 is {result.top1}"
            else:
                kept[name] = result
            add_line(path, {**line, "message" if isinstance(kept[name], str) else "top1": kept[name]}, KEPT_COLUMNS)
            done(number, len(asked))
    return {name: kept[name] for name in asked}


def _read_kept(path: Path, pin: str) -> dict[str, float | str]:
    kept: dict[str, float | str] = {}
    for line, row in read_csv(path, KEPT_COLUMNS):
        if row["fingerprint"] != pin:
            raise RunChanged(
                f"{path}, line {line}: it holds what another source said, or this one with another seed; give another "
                "--out"
            )
        try:
            kept[row["architecture"]] = row["message"] or float(row["top1"])
        except ValueError as error:
            raise DamagedFile(f"{path}, line {line}: {error}") from error
    return kept


def predict_each(surrogate: Surrogate, networks: Sequence[Network], *, space: SearchSpace) -> dict[str, float | str]:
    """Top-1, percent, of networks by their full strings, or why a source of predictions says nothing of one."""
    found: dict[str, float | str] = {}
    for network in networks:
        name = format_network(network)
        if network.frame != space.frame:
            found[name] = f"it has another input, stem, head or classes than space {space.name}"
            continue
        try:
            found[name] = float(surrogate.predict(space.encode(network.architecture)[None]).value[0])
        except RequestError as error:
            found[name] = str(error)
    return found


def add_line(path: Path, values: Mapping[str, object], columns: Sequence[str]) -> None:
    """Adds a line to a CSV, or begins one with `columns`; what it has no column for is left out. Written whole."""
    exists = path.exists()
    text = io.StringIO()
    writer = csv.DictWriter(text, csv_columns(path) if exists else columns, extrasaction="ignore", lineterminator="\n")
    if not exists:
        writer.writeheader()
    writer.writerow(values)
    before = read_text(path) if exists else ""
    write_text(path, before + ("\n" if before and not before.endswith("\n") else "") + text.getvalue())


def _evaluate(evaluator: Evaluator | None, network: Network, seed: int) -> Evaluation | str:
    """One evaluation, in whatever process; why it gave no result, where it did not."""
    assert evaluator is not None
    try:
        return evaluator.evaluate(network, seed=seed)
    except TrainingFailed as error:
        return str(error)[:500]
    except (
        RuntimeError
    ) as error:  # torch's word for no memory and the like: not the network's fault, so no result of it
        raise MnasEvoError(f"an evaluation broke off ({error}); what was evaluated is kept") from error


def check_workers(workers: Workers) -> None:
    """Whether workers are a number of processes or name a cluster, before anything dear is begun.

    Raises:
        RequestError: they are not.
    """
    if isinstance(workers, int):
        if workers < 1:
            raise RequestError(f"workers is at least 1, not {workers}")
        return
    from mnas_evo.accuracy.ray_workers import is_cluster

    if not is_cluster(workers):
        raise RequestError(f"cannot read workers {workers!r}: give a number, ray, ray://HOST:PORT or HOST:PORT")


@contextmanager
def evaluating(dear: Evaluator | None, workers: Workers) -> Iterator[Evaluate]:
    """Where evaluations run: in this process one by one, in `workers` others, or on a Ray cluster.

    Raises:
        RequestError: no worker, or a cluster that cannot be used.
    """
    check_workers(workers)
    if isinstance(workers, str):
        from mnas_evo.accuracy.ray_workers import on_ray

        if dear is not None:
            with on_ray(_evaluate, dear, workers) as evaluate_there:
                yield evaluate_there
            return
        workers = 1
    if dear is None or workers == 1:
        yield lambda tasks: ((number, _evaluate(dear, *task)) for number, task in enumerate(tasks))
        return
    with worker_pool(workers) as executor:

        def evaluate(tasks: Sequence[tuple[Network, int]]) -> Iterator[tuple[int, Evaluation | str]]:
            futures = {executor.submit(_evaluate, dear, *task): number for number, task in enumerate(tasks)}
            for future in as_completed(futures):
                yield futures[future], future.result()

        yield evaluate


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes to evaluate or train in, numbered; what is broken off, by an error or Ctrl-C, they do not finish.

    Raises:
        MnasEvoError: one of them died.
    """
    context = multiprocessing.get_context("spawn")
    begun = context.Value("i", 0)
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=start_worker, initargs=(begun,))
    try:
        yield executor
    except BaseException as error:
        for process in multiprocessing.active_children():
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise MnasEvoError(
                "a worker process died (out of memory?); what was done is kept, run the command again with fewer "
                "--workers"
            ) from error
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def start_worker(begun: "Synchronized[int]") -> None:
    """Numbers a worker; none outlives who started it, even one that was killed, or speaks up when it is stopped."""
    with begun.get_lock():
        os.environ[WORKER] = str(begun.value)
        begun.value += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        _exit(1)

    threading.Thread(target=follow, daemon=True).start()
