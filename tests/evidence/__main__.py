"""`python -m evidence PART [--seed N]`, with tests/ on the path: `make evidence PART=...`."""

import argparse
import importlib
from pathlib import Path

from evidence.part import Part, run_part

PARTS = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("part", "__main__", "__init__")
)


def main() -> int:
    """Runs one part; the exit status is 1 if a case has a fault."""
    parser = argparse.ArgumentParser(prog="python -m evidence", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed and kept in the table")
    given = parser.parse_args()
    part: Part = importlib.import_module(f"evidence.{given.part}").PART
    return 1 if run_part(part, seed=given.seed) else 0


if __name__ == "__main__":
    raise SystemExit(main())
