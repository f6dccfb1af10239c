"""The demo, killed in every stage and started again, ends as one that was never killed.

`make evidence PART=kills` does the same with the demo's own size.
"""

from pathlib import Path

import pytest
from support.killed_demo import Size, check_killed_demo
from support.small_space import TEXT


@pytest.mark.slow
def test_a_demo_killed_in_every_stage_ends_with_every_evaluation_once(tmp_path: Path) -> None:
    space = tmp_path / "few-rows.toml"
    space.write_text(TEXT)
    options = {"space": space, "networks": 20, "minutes": 0, "evaluations": 12, "trial-epochs": 1, "epochs": 8}
    given = tuple(f"--{name}={value}" for name, value in options.items())
    check_killed_demo(tmp_path, Size(given, batches=3, batch=4, profiled_lines=150))
