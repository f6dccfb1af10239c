"""What an ARCH argument stands for: a name, a string, RUN#rank or a file of strings."""

from pathlib import Path

from mnas_evo.errors import NotationError
from mnas_evo.search.front import candidates, front
from mnas_evo.search.run import open_run
from mnas_evo.space.architecture import Frame, Network
from mnas_evo.space.named import NAMED, read_networks
from mnas_evo.space.notation import parse_network


def read_arch(text: str, *, task: Frame | None = None) -> list[Network]:
    """The networks of an ARCH argument.

    Raises:
        NotationError: it stands for none.
    """
    folder, mark, rank = text.rpartition("#")
    if text in NAMED or not mark or "/" in rank:
        return read_networks(text, task=task)
    form, archive = open_run(Path(folder))
    with archive:
        found = front(candidates(archive), form.objectives)
    if not rank.isdecimal() or not 1 <= int(rank) <= len(found):
        raise NotationError(f"{text!r}: the front of {folder} has ranks 1 to {len(found)}, by latency")
    return [parse_network(found[int(rank) - 1].network)]


def read_one(text: str, *, task: Frame | None = None) -> Network:
    """The network of an ARCH argument that may stand for one only.

    Raises:
        NotationError: it stands for none, or for several.
    """
    found = read_arch(text, task=task)
    if len(found) != 1:
        raise NotationError(f"{text!r} stands for {len(found)} architectures, this command takes one")
    return found[0]
