"""Constraints of the oldest versions: every bound of what the tests install, and no pin of torch."""

import tomllib

from support.oldest_versions import PYPROJECT, oldest_versions


def test_every_lower_bound_of_dependencies_and_of_the_extras_of_test_is_a_pin() -> None:
    project = {
        "name": "ours",
        "dependencies": ["numpy>=1.26", "torch>=2.6", "exact==1.0", "plain"],
        "optional-dependencies": {
            "test": ["ours[docs,ray]", "pytest>=8.3"],
            "docs": ["mkdocs>=1.6,<2", "mkdocstrings[python]>=0.29"],
            "ray": ["ray[client]>=2.40"],
            "dev": ["mypy>=1.14"],
        },
    }
    assert oldest_versions(project) == [
        "numpy==1.26", "pytest==8.3", "mkdocs==1.6", "mkdocstrings==0.29", "ray==2.40",
    ]  # fmt: skip


def test_our_own_dependencies_are_all_pinned_but_torch() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    pinned = {line.partition("==")[0] for line in oldest_versions(project)}
    assert {line.partition(">=")[0] for line in project["dependencies"]} - pinned == {"torch"}
