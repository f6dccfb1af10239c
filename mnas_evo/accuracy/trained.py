"""Networks that were trained in full, each alone: a CSV to judge cheaper sources by, which grows over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.evaluating import Done, Workers, add_line, evaluate_all, network_seed
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.accuracy.table import accuracy_lines
from mnas_evo.errors import DamagedFile, RequestError
from mnas_evo.files import csv_columns, only_writer
from mnas_evo.space.architecture import Frame, Network
from mnas_evo.space.notation import format_network, parse_network
from mnas_evo.space.space import SearchSpace, distinct_rows

COLUMNS = ("architecture", "top1", "seed", "epochs", "source")
_NEEDED = COLUMNS[:-1]
_ALIKE = ("epochs", "source")
_DRAWN_AT_ONCE = 256  # genomes, however many are wanted: a longer draw begins as a shorter one
_DRAWS = 100  # times the wanted: most spaces need 1


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network by its full string, and its top-1, percent: the mean over so many trainings of different seeds."""

    string: str
    top1: float
    trainings: int

    @property
    def network(self) -> Network:
        """The network itself."""
        return parse_network(self.string)


def read_trained(path: Path, *, task: Frame | None = None) -> tuple[TrainedNetwork, ...]:
    """Reads columns architecture and top1, and seed, epochs and source where they are there; others are left alone.

    What a string leaves unsaid, input and classes, is taken from `task`.

    Raises:
        DamagedFile: a line cannot be read, or has the architecture and seed of one before.
        RequestError: it lists nothing, or trainings of different epochs or sources, which cannot be ranked as one.
    """
    found: dict[str, dict[str, float]] = {}
    said: dict[str, str] = {}
    for line in accuracy_lines(path, task=task or Frame()):
        seeds, seed = found.setdefault(line.string, {}), line.row.get("seed") or ""
        if seed in seeds:
            raise DamagedFile(f"{line.where}: {line.string} stands there twice{f' with seed {seed}' if seed else ''}")
        seeds[seed] = line.top1
        _check_alike(said, line.row, path)
    if not found:
        raise RequestError(f"{path} lists no architecture")
    return tuple(
        TrainedNetwork(string, float(np.mean(list(seeds.values()))), len(seeds)) for string, seeds in found.items()
    )


def _check_alike(said: dict[str, str], row: Mapping[str, str], path: Path) -> None:
    for column in _ALIKE:
        value = row.get(column) or ""
        if value and value != said.setdefault(column, value):
            raise RequestError(
                f"{path} has networks of {column} {said[column]} and of {column} {value}, which cannot be ranked as "
                "one; give each a file of its own"
            )


def draw_networks(space: SearchSpace, n: int, *, seed: int) -> list[Network]:
    """Different architectures of a uniform sample, in the order they were drawn: a longer draw begins as a shorter one.

    Raises:
        RequestError: the space has not so many, or hides some too well.
    """
    rng = np.random.default_rng(seed)
    drawn = space.sample(0, rng=rng)
    for _ in range(1 + _DRAWS * n // _DRAWN_AT_ONCE):
        drawn = np.concatenate([drawn, space.sample(_DRAWN_AT_ONCE, rng=rng)])
        first = list(islice(distinct_rows(drawn), n))
        if len(first) == n:
            return space.networks(drawn[first])
    raise RequestError(
        f"{len(drawn):,} genomes of space {space.name} are {len(first)} architectures, not {n}; ask fewer"
    )


def add_trained(
    path: Path, trainer: ProxyTraining, networks: Sequence[Network], *, seed: int, workers: Workers, done: Done
) -> dict[str, str]:
    """Trains those networks that the CSV has not, a line each as it ends, and says why any gave no top-1.

    A kill loses no more than what was in training. First weights and batches are other ones than a search of the same
    seed gives these networks: otherwise proxies would share the luck of what judges them.

    Raises:
        RequestError: the file's trainings are of other epochs or of another source.
        DamagedFile: a line of it cannot be read, or a column of COLUMNS but source is missing.
        InUse: another process adds to it.
    """
    own = {"epochs": str(trainer.recipe.epochs), "source": trainer.source}
    failed = {}
    with only_writer(path):
        known = _trained_alike(path, own, task=networks[0].frame) if path.exists() else set()
        left = [network for network in networks if format_network(network) not in known]
        ended = len(networks) - len(left)
        done(ended, len(networks))
        results = evaluate_all(trainer, left, seed=network_seed(seed, "trained in full"), workers=workers)
        for number, (network, result) in enumerate(results, start=ended + 1):
            name = format_network(network)
            if isinstance(result, Evaluation):
                line = {"architecture": name, "top1": round(result.top1, 4), "seed": seed}
                add_line(path, {**line, **own}, COLUMNS)
            else:
                failed[name] = result
            done(number, len(networks))
    return failed


def _trained_alike(path: Path, own: Mapping[str, str], *, task: Frame) -> set[str]:
    """Full strings of a file's networks, once all of it was read: a fault should not show after hours of training."""
    columns = csv_columns(path)
    if missing := [column for column in _NEEDED if column not in columns]:
        raise DamagedFile(f"{path} has no column {', '.join(missing)}: it cannot say how a network added was trained")
    said, known = dict(own), set()
    for line in accuracy_lines(path, task=task):
        _check_alike(said, line.row, path)
        known.add(line.string)
    return known
