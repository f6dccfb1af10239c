"""Prints pip constraints that hold every dependency at the oldest version that pyproject.toml admits.

torch is left out: constraints.txt pins it to the one build that does not bring GBs of GPU libraries.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
_BOUNDED = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)")


def oldest_versions(project: Mapping[str, Any]) -> list[str]:
    """NAME==VERSION for each lower bound of the dependencies and of the extras that test brings."""
    extras = project["optional-dependencies"]
    (own,) = (line for line in extras["test"] if line.startswith(f"{project['name']}["))
    brought = own.partition("[")[2].rstrip("]").split(",")
    lines = [*project["dependencies"], *extras["test"], *(line for name in brought for line in extras[name])]
    bounds = [found.groups() for line in lines if (found := _BOUNDED.match(line))]
    return [f"{name}=={version}" for name, version in bounds if name != "torch"]


if __name__ == "__main__":
    print("\n".join(oldest_versions(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"])))
