"""Evaluations on a Ray cluster: one task each, anywhere that has what it needs, and elsewhere once its node is lost."""

import importlib
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mnas_evo.accuracy.contract import Evaluate, Evaluation, Evaluator, NeedsResources, UsesGpu
from mnas_evo.errors import MnasEvoError, RequestError
from mnas_evo.space.architecture import Network

EvaluateOne = Callable[[Evaluator, Network, int], Evaluation | str]
"""One evaluation with a seed, in the process of a worker."""

RETRIES = 3
"""How often an evaluation begins again, elsewhere, whose worker or node was lost; its own errors are never retried."""

_PORT_SECONDS = 5.0
_CLUSTER_SECONDS = 20.0  # for a cluster to say that it is one; Ray itself would try for 140 s
_WATCH_SECONDS = 10.0
_NO_NODE_SECONDS = 120.0  # for a node to come back, or an autoscaler to bring one
_HERE, _OWN = "ray", "local"
_PLACE = re.compile(r"(?:ray://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


def is_cluster(text: str) -> bool:
    """Whether a text names a Ray cluster: ray, ray://HOST:PORT or HOST:PORT."""
    return text == _HERE or _PLACE.fullmatch(text) is not None


@contextmanager
def on_ray(evaluate_one: EvaluateOne, dear: Evaluator, where: str) -> Iterator[Evaluate]:
    """Where evaluations run: on the cluster named, or of `ray` on one that runs here already, else on one begun for it.

    A cluster begun here ends with it; of any other only this process lets go.

    Raises:
        RequestError: Ray is not installed, no cluster answers there, or none of its nodes has what a task needs.
    """
    address = _address(where)
    with _connected(_import_ray(address), address) as ray:
        options = _task_options(ray, dear)
        task = ray.remote(**options, max_retries=RETRIES)(evaluate_one)
        kept = ray.put(dear)  # once, not with every task

        def evaluate(tasks: Sequence[tuple[Network, int]]) -> Iterator[tuple[int, Evaluation | str]]:
            waiting = {task.remote(kept, *one): number for number, one in enumerate(tasks)}
            try:
                for ended in _as_they_end(ray, waiting, options):
                    yield waiting.pop(ended), _result(ray, ended)
            finally:
                for left in waiting:
                    ray.cancel(left, force=True)

        yield evaluate


def _address(where: str) -> str:
    """What Ray is to connect to: an address, `auto` for the cluster that runs here, or `local` for one of our own.

    Raises:
        RequestError: Ray is not installed.
    """
    if find_spec("ray") is None:
        raise RequestError("workers on a cluster need Ray; install it: pip install 'mnas-evo[ray]'")
    if where != _HERE:
        return where
    if given := os.environ.get("RAY_ADDRESS"):
        return given
    # Where `ray start` notes the cluster that it began; what crashed leaves its note behind.
    note = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray", "ray_current_cluster")
    try:
        _lets_in(note.read_text(encoding="utf-8").strip())  # Ray finds the token of what was begun here by itself
    except (OSError, RequestError):
        return _OWN
    return "auto"


def _import_ray(address: str) -> Any:
    """Ray, with what it reads as it is imported: nothing is reported, and no task runs out of memory without end."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")  # no warning that this may change one day
    if address == _OWN:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # which keeps a cluster to loopback everywhere
        os.environ.setdefault("RAY_agent_register_timeout_ms", "100000")  # 15 s are short on a busy machine
    return importlib.import_module("ray")


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[Any]:
    """Ray, connected; a cluster begun here ends with it, of any other only this process lets go."""
    if ray.is_initialized():  # by whoever called us, who will let go of it
        yield ray
        return
    if _PLACE.fullmatch(address) and not _lets_in(address):
        raise RequestError(
            f"the Ray cluster at {address} wants its token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the "
            "file that holds it (~/.ray/auth_token if not set)"
        )
    own = {"include_dashboard": False} if address == _OWN else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # Ray raises just that where a node of its own does not start
        ray.shutdown()
        what = "Ray could not be started here" if own else f"no Ray cluster can be used at {address}"
        raise RequestError(f"{what}: {_first_line(error)}") from error
    try:
        yield ray
    except ConnectionError as error:
        raise MnasEvoError(
            f"the Ray cluster at {address} went away ({_first_line(error)}); what was evaluated is kept, run the "
            "command again"
        ) from error
    finally:
        ray.shutdown()


def _lets_in(address: str) -> bool:
    """Whether the cluster at an address takes us, with the token we have if any.

    Raises:
        RequestError: none answers there.
    """
    match = _PLACE.fullmatch(address)
    if match is None:
        raise RequestError(f"{address!r} is no address of a Ray cluster, which is HOST:PORT")
    mend = "is it running (ray start --head) and can it be reached?"
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), timeout=_PORT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RequestError(f"no Ray cluster at {address}: {error}; {mend}") from error
    if address.startswith("ray://"):
        return True  # Ray's client gives up by itself
    ask = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address, "--skip-version-check"]
    try:
        subprocess.run(ask, capture_output=True, timeout=_CLUSTER_SECONDS, check=True)
    except (subprocess.SubprocessError, OSError) as error:
        if b"AuthenticationError" in (getattr(error, "stderr", None) or b""):
            return False
        raise RequestError(f"something listens at {address}, but it is no Ray cluster; {mend}") from error
    return True


def _task_options(ray: Any, dear: Evaluator) -> dict[str, Any]:
    """What each task asks of its node: a core, a GPU where there are any, and what the evaluator itself needs.

    Raises:
        RequestError: no node has all that.
    """
    asked = dict(dear.resources) if isinstance(dear, NeedsResources) else {}
    share = dear.gpu_share if isinstance(dear, UsesGpu) and "GPU" in ray.cluster_resources() else 0.0
    options: dict[str, Any] = {"num_cpus": 1, "num_gpus": share, "resources": asked}
    if not _has_room(ray, options):
        found = [", ".join(f"{name} {amount:g}" for name, amount in _offers(node).items()) for node in _alive(ray)]
        raise RequestError(
            f"no node of the Ray cluster has what an evaluation needs ({_needed(options)}); its nodes have: "
            f"{'; '.join(found) or 'nothing'}"
        )
    return options


def _has_room(ray: Any, options: Mapping[str, Any]) -> bool:
    """Whether a node is there that could take a task, once it has nothing else to do."""
    needed = {"CPU": options["num_cpus"], "GPU": options["num_gpus"], **options["resources"]}
    return any(
        all(node["Resources"].get(name, 0.0) >= amount for name, amount in needed.items()) for node in _alive(ray)
    )


def _alive(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _offers(node: Mapping[str, Any]) -> dict[str, float]:
    """A node's resources, without what every node has and its address."""
    return {
        name: amount
        for name, amount in node["Resources"].items()
        if not name.startswith("node:") and name not in ("memory", "object_store_memory")
    }


def _needed(options: Mapping[str, Any]) -> str:
    gpu = {"GPU": options["num_gpus"]} if options["num_gpus"] else {}
    return ", ".join(f"{name} {amount:g}" for name, amount in {"CPU": 1, **gpu, **options["resources"]}.items())


def _as_they_end(ray: Any, waiting: Mapping[Any, int], options: Mapping[str, Any]) -> Iterator[Any]:
    """Tasks as they end.

    Raises:
        MnasEvoError: every node that could take them has been gone for two minutes.
    """
    seen = time.monotonic()
    while waiting:
        ended, _ = ray.wait(list(waiting), num_returns=1, timeout=_WATCH_SECONDS)
        yield from ended
        if ended or _has_room(ray, options):
            seen = time.monotonic()
        elif time.monotonic() - seen > _NO_NODE_SECONDS:
            raise MnasEvoError(
                f"no node of the Ray cluster is left that has what an evaluation needs ({_needed(options)}); what was "
                "evaluated is kept, run the command again"
            )


def _result(ray: Any, ended: Any) -> Evaluation | str:
    try:
        found: Evaluation | str = ray.get(ended)
    except ray.exceptions.RayTaskError as error:  # what the evaluation itself raised, as it would be in this process
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise MnasEvoError(
            f"an evaluation was lost {RETRIES + 1} times with its worker or node (out of memory?): "
            f"{_first_line(error)}; what was evaluated is kept, run the command again"
        ) from error
    return found


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
