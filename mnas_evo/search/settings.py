"""Kinds of settings that several algorithms have."""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator

T = TypeVar("T")
Several = Annotated[tuple[T, ...], BeforeValidator(lambda given: given.split("+") if isinstance(given, str) else given)]
"""Values of a setting that takes several: 40+80 on the command line."""
