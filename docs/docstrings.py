"""Docstrings that draw a tree or line up columns keep their shape on the site; in Markdown they would run together."""

import re
from typing import Any

import griffe

_DRAWN = re.compile(r"^\s*[├└│]|\S {2,}\S", re.MULTILINE)


class KeepDrawings(griffe.Extension):
    """Fences paragraphs of which two lines at least are drawn."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Of every object that is documented."""
        if obj.docstring is not None:
            paragraphs = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(map(kept, paragraphs))


def kept(paragraph: str) -> str:
    """A paragraph, as a block of text if it is drawn."""
    return f"```text\n{paragraph}\n```" if len(_DRAWN.findall(paragraph)) > 1 else paragraph
