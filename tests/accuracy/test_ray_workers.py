"""Evaluations on Ray: the same results, nodes lost in the middle, and clusters that are not there."""

import http.server
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.search_problem import SPACE, ByParams, problem

from mnas_evo.accuracy.contract import Evaluation
from mnas_evo.accuracy.evaluating import evaluate_all, parse_workers
from mnas_evo.accuracy.ray_workers import RETRIES
from mnas_evo.errors import MnasEvoError, RequestError
from mnas_evo.search.archive import Archive, Tell
from mnas_evo.search.drive import drive
from mnas_evo.search.nsga2 import Nsga2
from mnas_evo.search.objectives import Problem
from mnas_evo.space.architecture import Network

NETWORKS = SPACE.networks(SPACE.sample(6, rng=np.random.default_rng(0)))
EVALUATIONS = 24
TESTS = Path(__file__).parent.parent
pytestmark = pytest.mark.xdist_group("ray")


@dataclass(frozen=True)
class Noted(ByParams):
    """Notes in a folder, which all nodes share, on which node each evaluation begins.

    None ends before one has begun on each node of `together`. The second on `lost` ends with that node only.
    """

    folder: Path = Path()
    resources: Mapping[str, float] = field(default_factory=dict)
    together: tuple[str, ...] = ()
    lost: str = ""

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        import ray

        node = ray.get_runtime_context().get_node_id()
        (self.folder / f"{node}-{uuid.uuid4().hex}").touch()
        until = time.monotonic() + 60  # workers take seconds to start
        while not all(map(self.begun, self.together)) and time.monotonic() < until:
            time.sleep(0.02)
        if node == self.lost and self.begun(node) >= 2:
            time.sleep(60)
        return super().evaluate(network, seed=seed)

    def begun(self, node: str = "") -> int:
        """How many evaluations began, on one node or all."""
        return len(list(self.folder.glob(f"{node}*-*")))


@dataclass(frozen=True)
class Breaks(ByParams):
    """Finds a fault that is not the network's, or dies with its process."""

    dies: bool = False

    def evaluate(self, network: Network, *, seed: int) -> Evaluation:
        if self.dies:
            os._exit(1)
        raise RequestError("this network has 1 channel, the images have 3; mend that")


def searched(path: Path, target: Problem, *, workers: int | str) -> list[Tell]:
    """The tells of a search."""
    with Archive(path, create=True) as archive:
        searcher = Nsga2(SPACE, objectives=2, seed=0, population=8)
        drive(
            searcher,
            target,
            archive,
            evaluations=EVALUATIONS,
            seed=0,
            workers=workers,
            progress=lambda done, text: None,
        )
        return archive.tells()


def evaluated(dear: Any, workers: int | str) -> dict[Network, Evaluation | str]:
    return dict(evaluate_all(dear, NETWORKS, seed=0, workers=workers))


# Without a cluster


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError, match=r"pip install 'mnas-evo\[ray\]'"):
        evaluated(ByParams(), "ray")


@pytest.mark.parametrize(
    ("text", "meant"), [("1", 1), ("16", 16), ("0", 0), ("ray", "ray"), ("ray://pi:10001", "ray://pi:10001")]
)
def test_workers_are_a_number_or_a_cluster(text: str, meant: int | str) -> None:
    assert parse_workers(text) == meant


@pytest.mark.parametrize("text", ["many", "ray:", "http://host:80", "host", "host:port", "ray://host", "", "1.5"])
def test_what_is_neither_is_refused_with_what_it_may_be(text: str) -> None:
    with pytest.raises(RequestError, match="give a number, ray, ray://HOST:PORT or HOST:PORT"):
        evaluated(ByParams(), parse_workers(text))


def test_with_nothing_to_evaluate_no_cluster_is_asked() -> None:
    assert list(evaluate_all(ByParams(), [], seed=0, workers="127.0.0.1:1")) == []


@pytest.mark.parametrize("place", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999", "[::1]:1"])
def test_an_address_at_which_nothing_listens_is_told_at_once(place: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(RequestError, match=r"no Ray cluster at .*ray start --head") as caught:
        evaluated(ByParams(), place)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_address_at_which_something_else_listens_is_told() -> None:
    pytest.importorskip("ray")
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(RequestError, match="but it is no Ray cluster"):
            evaluated(ByParams(), f"127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# On a cluster


@dataclass(frozen=True)
class Three:
    """A cluster of three nodes, the last two with a device on them; a test may lose one of these."""

    cluster: Any
    nodes: list[Any]

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return str(self.cluster.address)


@pytest.fixture
def three() -> Iterator[Three]:
    """Three nodes. A cluster of Ray's own fails while another one of the same process lives: each test has its own."""
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # on loopback, as it does there
        patch.setenv("RAY_agent_register_timeout_ms", "100000")
        # Workers find the classes of this file where we do.
        paths = [str(TESTS), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            more = [cluster.add_node(num_cpus=1, resources={"device:pixel": 1}) for _ in range(2)]
            yield Three(cluster, [cluster.head_node, *more])
        finally:
            ray.shutdown()
            cluster.shutdown()


def when(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Acts once, as soon as something is so; gives up after a minute."""

    def watch() -> None:
        until = time.monotonic() + 60
        while not condition() and time.monotonic() < until:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.slow
def test_what_an_evaluator_needs_decides_where_it_runs(tmp_path: Path, three: Three) -> None:
    dear = Noted(folder=tmp_path, resources={"device:pixel": 1})
    assert evaluated(dear, three.address) == evaluated(ByParams(), 1)
    assert dear.begun() == len(NETWORKS) and dear.begun(three.nodes[0].node_id) == 0
    with pytest.raises(RequestError, match=r"needs \(CPU 1, device:toaster 1\); its nodes have: .*device:pixel 1"):
        evaluated(Noted(folder=tmp_path, resources={"device:toaster": 1}), three.address)
    # What is not the network's fault comes through as it is, and a worker that dies each time does not go on for ever.
    with pytest.raises(RequestError, match=r"^this network has 1 channel, the images have 3; mend that$"):
        evaluated(Breaks(), three.address)
    with pytest.raises(MnasEvoError, match=f"lost {RETRIES + 1} times with its worker or node"):
        list(evaluate_all(Breaks(dies=True), NETWORKS[:1], seed=0, workers=three.address))
    import ray

    assert not ray.is_initialized()
    assert evaluated(ByParams(0.5), three.address) == evaluated(ByParams(0.5), 1), "the cluster is still there"


@pytest.mark.slow
def test_a_node_lost_in_the_middle_of_a_search_changes_nothing(tmp_path: Path, three: Three) -> None:
    nodes = tuple(node.node_id for node in three.nodes)
    lost = three.nodes.pop()
    dear = Noted(fails=0.1, folder=tmp_path / "begun", together=nodes, lost=lost.node_id)
    dear.folder.mkdir()
    target = Problem(**{**vars(problem(fails=0.1)), "dear": dear})
    losing = when(lambda: dear.begun(lost.node_id) >= 2, lambda: three.cluster.remove_node(lost, allow_graceful=False))
    there = searched(tmp_path / "there", target, workers=three.address)
    losing.join()
    assert any(tell.kind == "failure" and "nan" in tell.message for tell in there)
    assert there == searched(tmp_path / "here", problem(fails=0.1), workers=1)
    assert all(map(dear.begun, nodes))
    assert dear.begun() > EVALUATIONS, "what was lost with the node began again elsewhere"


@pytest.mark.slow
def test_ray_alone_is_a_cluster_of_our_own_that_ends_with_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    target = problem(fails=0.1)
    assert searched(tmp_path / "ray", target, workers="ray") == searched(tmp_path / "one", target, workers=1)
    assert not ray.is_initialized()
