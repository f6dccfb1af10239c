"""Recipes: every hyper-parameter of a training, in a TOML file."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mnas_evo.errors import RequestError
from mnas_evo.files import Part, parse_toml
from mnas_evo.models.fresh_weights import FirstWeights

_Share = Annotated[float, Field(ge=0, lt=1)]
_NotNegative = Annotated[float, Field(ge=0)]


class Recipe(Part):
    """How a network is trained.

    `learning_rate` is that of a step on `learning_rate_batch` images and goes with their number, or is taken as it is
    where none is given. It rises linearly over `warmup_epochs`, then falls along a cosine to 0, stays, or is multiplied
    by `decay_rate` every `decay_epochs`. `batch` images go through each process at a step. rmsprop is TensorFlow's,
    with a decay of .9 (optimizer.py). Batch norms and biases have no weight decay.

    `first_weights`: he, the authors', or dirac, with which every block begins by passing its channels on
    (models/fresh_weights.py); weights that are given come before both.

    `weight_average` is the decay of a moving average of the weights, which is then what is validated and kept; 0 for
    none. Gradients longer than `clip_norm` are cut to it; 0 for no limit. `precision` auto is bf16 on a GPU and 32
    elsewhere. `norm_momentum` is torch's.

    For weights trained elsewhere: each layer learns `layer_decay` times as fast as the one behind it, and layers thaw
    from the classifier to the stem over `unfreeze_epochs`, the classifier alone in the first epoch.

    Images are moved by up to `shift_pixels` each way and mirrored where `flip` says so; a part of at least `crop_area`
    of each is enlarged to the whole; brightness, contrast and saturation change by factors of up to 1 ± `color_jitter`;
    a rectangle is blacked out in a share `erase` of them.
    """

    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    optimizer: Literal["adamw", "sgd", "rmsprop"]
    learning_rate: Annotated[float, Field(gt=0)]
    learning_rate_batch: Annotated[int, Field(ge=1)] | None = None
    weight_decay: _NotNegative = 0.0
    momentum: _Share = 0.9
    batch: Annotated[int, Field(ge=2)]
    epochs: Annotated[int, Field(ge=1)]
    warmup_epochs: _NotNegative = 0.0
    schedule: Literal["cosine", "constant", "exponential"] = "cosine"
    decay_rate: Annotated[float, Field(gt=0, le=1)] = 0.97
    decay_epochs: Annotated[float, Field(gt=0)] = 2.4
    first_weights: FirstWeights = "he"
    weight_average: _Share = 0.0
    clip_norm: _NotNegative = 0.0
    precision: Literal["auto", "32", "bf16"] = "auto"
    compile: bool = False
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    unfreeze_epochs: Annotated[int, Field(ge=0)] = 0
    label_smoothing: _Share = 0.0
    dropout: _Share = 0.2
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.01
    shift_pixels: Annotated[int, Field(ge=0)] = 0
    flip: bool = False
    crop_area: Annotated[float, Field(gt=0, le=1)] = 1.0
    color_jitter: _Share = 0.0
    erase: _Share = 0.0

    def with_epochs(self, epochs: int) -> "Recipe":
        """The same in other epochs; what leads up to them is shortened with them where it would not end before."""
        lead = {"warmup_epochs": self.warmup_epochs, "unfreeze_epochs": self.unfreeze_epochs}
        if max(lead.values()) >= epochs:
            lead["warmup_epochs"] = self.warmup_epochs * min(1.0, epochs / self.epochs)
            lead["unfreeze_epochs"] = min(self.unfreeze_epochs, epochs - 1)
        return self.model_copy(update={"epochs": epochs, **lead})

    @model_validator(mode="after")
    def _leads_up(self) -> "Recipe":
        if max(self.warmup_epochs, self.unfreeze_epochs) >= self.epochs:
            raise ValueError(f"warmup_epochs and unfreeze_epochs end before the {self.epochs} epochs do")
        return self


def recipe_names() -> list[str]:
    """Names of the recipes that come with mnas-evo."""
    return sorted(entry.name.removesuffix(".toml") for entry in _stock().iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe by name or from a file.

    Raises:
        RequestError: there is none, or it has faults, all of which are named.
        OtherFormat: a file of another format number.
    """
    path = _stock() / f"{name_or_path}.toml" if name_or_path in recipe_names() else Path(name_or_path)
    if not path.is_file():
        raise RequestError(f"no recipe {name_or_path!r}; known are {', '.join(recipe_names())}, or give a TOML file")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"recipe {name_or_path} is no text file") from error
    return parse_toml(text, Recipe, source=f"recipe {name_or_path}", what="recipe", error=RequestError)


def _stock() -> Path:
    return Path(str(files("mnas_evo.training"))) / "recipes"
