"""The floors of the package: a module imports only from floors below its own, and nothing runs in a circle."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mnas_evo"

# Lowest first; what stands on one floor does not know its neighbours.
FLOORS = (
    ("errors", "bundled"),
    ("files",),
    ("space",),
    ("models", "latency", "data"),
    ("devices", "training"),
    ("accuracy",),
    ("search",),
    ("comparing", "finalists", "scaling", "shipping"),
    ("report",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
# Modules that must not bring torch or LightGBM with them, by whatever way round.
LIGHT = (
    "search.contract",
    "search.archive",
    "search.objectives",
    "search.front",
    "accuracy.contract",
    "devices.target",
)


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__")] = path
    return found


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            names.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return names


def own(path: Path) -> set[str]:
    """Modules of the package that a file imports, by their names inside it."""
    known = modules()
    inner = {name.removeprefix("mnas_evo.") for name in imported(path) if name.startswith("mnas_evo.")}
    return {name for name in inner if name in known and known[name].name != "__init__.py"}


@pytest.mark.parametrize("name", sorted(name for name in modules() if name))
def test_a_module_imports_only_from_floors_below_its_own(name: str) -> None:
    room = name.split(".")[0]
    assert room in LEVEL, f"{room} stands on no floor; give it one here and in CONTRIBUTING.md"
    for other in own(modules()[name]):
        other_room = other.split(".")[0]
        assert other_room == room or LEVEL[other_room] < LEVEL[room], f"{name} imports {other}"


def test_no_module_imports_itself_around_a_circle() -> None:
    graph = {name: own(path) for name, path in modules().items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"circle: {' -> '.join((*trail, name))}"
        if name not in done:
            for other in graph[name]:
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


@pytest.mark.parametrize("name", LIGHT)
def test_contracts_and_what_only_reads_bring_neither_torch_nor_lightgbm(name: str) -> None:
    code = f"import mnas_evo.{name}, sys; sys.exit(' '.join({{'torch', 'lightgbm'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_init_holds_a_docstring_and_nothing_else() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1 and isinstance(body[0], ast.Expr), path


@pytest.mark.parametrize("folder", ["profiling", "latency_tables"])
def test_folders_of_files_are_no_packages(folder: str) -> None:
    # From Python 3.15 the standard library has a package `profiling`, which ours would hide.
    assert not list((ROOT / folder).rglob("__init__.py"))


def test_the_agent_imports_the_standard_library_numpy_and_the_runtimes() -> None:
    tops = {name.split(".")[0] for name in imported(ROOT / "profiling" / "agent.py")}
    assert tops - set(sys.stdlib_module_names) == {"numpy", "onnxruntime", "openvino", "torch"}


def test_no_agent_file_bears_a_name_of_the_standard_library() -> None:
    for path in (ROOT / "profiling").glob("*.py"):
        assert path.stem not in sys.stdlib_module_names


def test_what_is_passed_between_modules_is_frozen() -> None:
    """A dataclass that is not frozen holds the state of one object, and is listed here."""
    own_state = {"comparing/runs.py"}
    for path in (ROOT / "mnas_evo").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        decorated = text.count("@dataclass")
        frozen = text.count("@dataclass(frozen=True")
        assert frozen == decorated or path.relative_to(ROOT / "mnas_evo").as_posix() in own_state, path
