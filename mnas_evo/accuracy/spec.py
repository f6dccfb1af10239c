"""Reads what --accuracy says: proxy:DATA[,epochs=5,recipe=quick,score=top1], supernet:DIR[,score=speed,steps=24],
surrogate:CSV or table:CSV.

What trains is imported where it is asked for: Lightning takes seconds.
"""

import re
from pathlib import Path

from mnas_evo.accuracy.contract import Evaluator, Score, Surrogate
from mnas_evo.accuracy.surrogate import read_surrogate
from mnas_evo.accuracy.table import read_accuracy_table
from mnas_evo.data.datasets import search_data
from mnas_evo.errors import RequestError
from mnas_evo.space.space import SearchSpace
from mnas_evo.training.recipe import load_recipe
from mnas_evo.training.task import check_fits

_HELP = (
    "it is proxy:DATA[,epochs=5,recipe=quick,score=top1|speed], supernet:DIR[,score=top1], "
    "supernet:DIR,score=speed[,steps=24], surrogate:FILE.csv, surrogate:RUN or table:FILE.csv"
)

_SUPERNET = re.compile(r"(.*?)((?:,(?:score|steps)=[^,=]*)*)", re.DOTALL)
"""A folder, in whose name there may be commas, and the options behind it."""


def parse_accuracy(text: str, space: SearchSpace | None) -> Evaluator | Surrogate:
    """The accuracy source a specification names, ready for a space, or for any network where none is given.

    Raises:
        RequestError: it cannot be read, its data do not fit the space, or it needs a space.
        UnknownData: its data set is not there.
    """
    kind, _, rest = text.partition(":")
    if kind == "proxy" and rest:
        return _proxy(text, rest, space)
    if kind == "supernet" and rest:
        return _supernet(text, rest, space)
    if kind not in ("surrogate", "table") or not rest:
        raise RequestError(f"cannot read accuracy source {text!r}: {_HELP}")
    if space is None:
        raise RequestError(f"{text} speaks of genomes: give the --space they are of")
    return read_accuracy_table(Path(rest), space) if kind == "table" else read_surrogate(Path(rest), space)


def _supernet(text: str, rest: str, space: SearchSpace | None) -> Evaluator | Surrogate:
    from mnas_evo.accuracy.cut_out_speed import CutOutSpeed
    from mnas_evo.accuracy.supernet import SupernetAccuracy
    from mnas_evo.accuracy.supernet_speed import supernet_speed
    from mnas_evo.accuracy.supernet_training import read_supernet

    place, options = _SUPERNET.fullmatch(rest).groups()  # type: ignore[union-attr]
    named = [option.partition("=")[::2] for option in options.split(",")[1:]]
    if ("," in place and not Path(place).exists()) or len(dict(named)) < len(named):
        raise RequestError(f"cannot read the options of accuracy source {text!r}: {_HELP}")
    given = {"score": "top1"} | dict(named)
    folder, score = Path(place), _score(text, given["score"])
    _, its_space = read_supernet(folder)
    if space is not None and its_space.fingerprint != space.fingerprint:
        raise RequestError(
            f"the supernet in {folder} is for another space than {space.name}: give --space {folder / 'space.toml'}"
        )
    if "steps" in given and score is Score.TOP1:
        raise RequestError(f"accuracy source {text!r}: steps are for score={Score.SPEED}; top-1 takes no training")
    if score is Score.TOP1:
        return SupernetAccuracy.of(folder)
    if "steps" in given:
        return CutOutSpeed.of(folder, steps=_count(text, "steps", given["steps"]))
    if space is None:
        raise RequestError(f"{text} speaks of genomes: give --space {folder / 'space.toml'}")
    return supernet_speed(folder)


def _score(text: str, score: str) -> Score:
    if score not in list(Score):
        raise RequestError(f"accuracy source {text!r}: score is {' or '.join(Score)}, not {score!r}")
    return Score(score)


def _count(text: str, name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 9 or int(value) < 1:
        raise RequestError(f"accuracy source {text!r}: {name} is a whole number of 1 or more, not {value[:20]!r}")
    return int(value)


def _proxy(text: str, rest: str, space: SearchSpace | None) -> Evaluator:
    from mnas_evo.accuracy.proxy import ProxyTraining

    data, *options = rest.split(",")
    given = dict(option.partition("=")[::2] for option in options)
    if unknown := sorted(set(given) - {"epochs", "recipe", "score"}):
        raise RequestError(f"accuracy source {text!r} has unknown options {', '.join(unknown)}: {_HELP}")
    given = {"recipe": "quick", "score": "top1", **given}
    score = _score(text, given["score"])
    recipe = load_recipe(given["recipe"])
    if "epochs" in given:
        recipe = recipe.with_epochs(_count(text, "epochs", given["epochs"]))
    if space is not None:
        found = search_data(data, size=(space.frame.height, space.frame.width))
        check_fits(space.network(space.decode(space.sizes * 0)), found)
    return ProxyTraining(data, recipe, score=score)
