"""What a page says to its host, and how it is read: PROTOCOL.md's messages, and nothing that only looks like them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from mnas_evo.latency.runs import DeviceFacts

_MOST_NS = 2**63
_Words = Annotated[str, Field(max_length=1000)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Hello(_Said):
    """The greeting."""

    type: Literal["hello"]
    protocol: Literal[1]
    facts: DeviceFacts


class Answered(_Said):
    """A visit's times."""

    type: Literal["run"]
    slot: int
    item: str
    times_ns: tuple[Annotated[int, Field(ge=1, lt=_MOST_NS)], ...]
    wall_ns: Annotated[int, Field(ge=0, lt=_MOST_NS)]
    state: dict[str, FiniteFloat]


class Refused(_Said):
    """Why the runtime refuses a model."""

    type: Literal["refused"]
    slot: int
    item: str
    message: _Words


class Done(_Said):
    """The end of a plan."""

    type: Literal["done"]


class Failed(_Said):
    """Why the page cannot measure at all."""

    type: Literal["error"]
    message: _Words


class Alive(_Said):
    """That the page is there, in front or hidden, or about to go."""

    hidden: bool
    leaving: bool = False


Line = Hello | Answered | Refused | Done | Failed
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="type")])


def read_lines(body: bytes) -> list[Line]:
    """The messages of a body, one a line.

    Raises:
        pydantic.ValidationError: one is none.
    """
    return [_LINE.validate_json(line) for line in body.split(b"\n") if line.strip()]
