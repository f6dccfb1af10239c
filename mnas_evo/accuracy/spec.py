"""Reads what --accuracy says: proxy:DATA[,epochs=5,recipe=quick], surrogate:CSV or table:CSV."""

from pathlib import Path

from mnas_evo.accuracy.contract import Evaluator, Surrogate
from mnas_evo.accuracy.proxy import ProxyTraining
from mnas_evo.accuracy.surrogate import read_surrogate
from mnas_evo.accuracy.table import read_accuracy_table
from mnas_evo.data.datasets import search_data
from mnas_evo.errors import RequestError
from mnas_evo.space.space import SearchSpace
from mnas_evo.training.recipe import load_recipe
from mnas_evo.training.task import check_fits

_HELP = "an accuracy source is proxy:DATA[,epochs=5,recipe=quick], surrogate:FILE.csv or table:FILE.csv"


def parse_accuracy(text: str, space: SearchSpace) -> Evaluator | Surrogate:
    """The accuracy source a specification names, ready for a space.

    Raises:
        RequestError: it cannot be read, or its data do not fit the space.
        UnknownData: its data set is not there.
    """
    kind, _, rest = text.partition(":")
    if kind == "table" and rest:
        return read_accuracy_table(Path(rest), space)
    if kind == "surrogate" and rest:
        return read_surrogate(Path(rest), space)
    if kind != "proxy" or not rest:
        raise RequestError(f"cannot read accuracy source {text!r}: {_HELP}")
    data, *options = rest.split(",")
    given = dict(option.partition("=")[::2] for option in options)
    if unknown := sorted(set(given) - {"epochs", "recipe"}):
        raise RequestError(f"accuracy source {text!r} has unknown options {', '.join(unknown)}: {_HELP}")
    recipe = load_recipe(given.get("recipe", "quick"))
    if "epochs" in given:
        if not given["epochs"].isdecimal() or int(given["epochs"]) < 1:
            raise RequestError(f"accuracy source {text!r}: epochs is a positive number, not {given['epochs']!r}")
        recipe = recipe.model_copy(update={"epochs": int(given["epochs"])})
    found = search_data(data)
    any_network = space.network(space.decode(space.sizes * 0))
    check_fits(any_network, found)
    return ProxyTraining(data, recipe)
