"""Algorithms by name: their settings, NAME[:setting=value...] on the command line, and the searchers they make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mnas_evo.errors import RequestError
from mnas_evo.files import Part
from mnas_evo.search.contract import Searcher
from mnas_evo.search.evolution import EvolutionSettings, evolution
from mnas_evo.search.nsga2 import Nsga2Settings, nsga2
from mnas_evo.search.objectives import Problem
from mnas_evo.search.random_search import RandomSearch, RandomSettings
from mnas_evo.search.rl import RlSettings, rl
from mnas_evo.search.surrogate_nsga2 import SurrogateNsga2, SurrogateNsga2Settings


@dataclass(frozen=True, slots=True)
class _Kind:
    settings: type[Part]
    searcher: Callable[..., Searcher]  # of a problem, settings and seed=


ALGORITHMS: dict[str, _Kind] = {
    "surrogate-nsga2": _Kind(SurrogateNsga2Settings, SurrogateNsga2),
    "nsga2": _Kind(Nsga2Settings, nsga2),
    "rl": _Kind(RlSettings, rl),
    "evolution": _Kind(EvolutionSettings, evolution),
    "random": _Kind(
        RandomSettings,
        lambda problem, settings, seed: RandomSearch(problem.space, seed=seed, batch=settings.batch),
    ),
}
DEFAULT = "surrogate-nsga2"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm with its settings."""

    name: str
    settings: Part

    @property
    def text(self) -> str:
        """As it is written on the command line: the name, and every setting that is not the default."""
        changed = self.settings.model_dump(exclude_defaults=True)
        return ":".join([self.name, *(f"{name}={_written(value)}" for name, value in changed.items())])

    def searcher(self, problem: Problem, *, seed: int) -> Searcher:
        """Its searcher on a problem.

        Raises:
            RequestError: the problem is none for it.
        """
        return ALGORITHMS[self.name].searcher(problem, self.settings, seed=seed)


def parse_algorithm(text: str, *, given: Mapping[str, Any] | None = None, strict: bool = True) -> Algorithm:
    """An algorithm of a text such as `nsga2:population=50`, with settings `given` beside it, which the text overrides.

    Not `strict`: settings given beside it that it does not have are left out, for they are others'.

    Raises:
        RequestError: no such algorithm or setting, or a value that cannot be; all that is wrong is said at once.
    """
    name, *parts = text.strip().split(":")
    if name not in ALGORITHMS:
        raise RequestError(f"unknown algorithm {name!r}; known are {', '.join(ALGORITHMS)}")
    kind = ALGORITHMS[name].settings
    known = kind.model_fields
    beside = {key: value for key, value in (given or {}).items() if strict or key in known}
    own = dict(part.partition("=")[::2] for part in parts)
    if len(own) < len(parts):
        raise RequestError(f"algorithm {text!r} gives a setting twice")
    try:
        return Algorithm(name, kind.model_validate({**beside, **own}))
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
            for fault in error.errors()
        ]
        settings = ", ".join(_with_default(key, value.default) for key, value in known.items())
        raise RequestError(
            f"algorithm {text!r}: {'; '.join(faults)}; settings of {name}, with their defaults if any: {settings}"
        ) from error


def _with_default(name: str, default: Any) -> str:
    return name if default in (None, ()) else f"{name}={_written(default)}"


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(map(_written, value))
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)
