"""Puts the latency tables into the wheel, file by file: raw runs and locks stay out."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TablesHook(BuildHookInterface):
    """Fills in force-include what a pattern cannot say."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds."""
        if version == "editable":  # a checkout finds its tables beside the package
            return
        root = Path(self.root)
        for path in sorted((root / "latency_tables").rglob("*")):
            place = path.relative_to(root)
            if path.is_file() and "raw" not in place.parts and not path.name.startswith("."):
                build_data["force_include"][str(path)] = f"mnas_evo/_bundled/{place}"
