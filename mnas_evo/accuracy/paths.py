"""Which networks of a space train its shared weights at each step, and what is kept of them: fair paths in a sandwich.

A path chooses an op, a kernel, an SE ratio and a skip for every block, and every option of a gene equally often (strict
fairness: Chu et al. 2019, FairNAS). The paths of a step differ, so that each step moves as many
branches as it can; one path is taken at its widest and deepest, one at its narrowest and shallowest, the others between
(the sandwich rule: Yu et al. 2020, BigNAS). NOTES.md has what a whole sandwich of each path did instead.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnas_evo.errors import DamagedFile
from mnas_evo.files import write_bytes
from mnas_evo.space.space import Genes, SearchSpace

SIZES = ("filters", "layers")
"""Kinds of genes that a sandwich runs over; the others make a path."""


def sandwiches(space: SearchSpace, *, paths: int, rng: np.random.Generator) -> Iterator[Genes]:
    """Without end: canonical genomes (paths, g) of each step, the first at its largest, the last at its smallest."""
    sized = np.array([kind in SIZES for kind, _ in space.gene_options])
    largest, smallest = (
        np.array([int(end(options)) if kind in SIZES else 0 for kind, options in space.gene_options])
        for end in (np.argmax, np.argmin)
    )
    fair = fair_genomes(space, rng=rng)
    while True:
        genes = np.stack([next(fair) for _ in range(paths)])
        genes[0, sized] = largest[sized]
        genes[-1, sized] = smallest[sized]
        yield space.canonical(genes)


def fair_genomes(space: SearchSpace, *, rng: np.random.Generator) -> Iterator[Genes]:
    """Without end: genomes (g,); each gene takes every option once before it takes one again."""
    left: list[list[int]] = [[] for _ in space.sizes]
    while True:
        for size, options in zip(space.sizes.tolist(), left, strict=True):
            if not options:
                options.extend(rng.permutation(size).tolist())
        yield np.array([options.pop() for options in left], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class TrainedPaths:
    """What the steps of a supernet's training trained: genomes (steps, paths, g) and their losses (steps, paths)."""

    genes: Genes
    losses: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: Sequence["TrainedPaths"]) -> "TrainedPaths":
        """Those of several epochs, one after the other."""
        return cls(np.concatenate([part.genes for part in parts]), np.concatenate([part.losses for part in parts]))

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "TrainedPaths":
        """Those that a checkpoint keeps."""
        return cls(tensors["genes"].cpu().numpy().astype(np.int64), tensors["losses"].cpu().numpy())

    def tensors(self) -> dict[str, Tensor]:
        """As a checkpoint keeps them."""
        return {"genes": torch.from_numpy(self.genes.astype(np.int16)), "losses": torch.from_numpy(self.losses)}


def write_paths(path: Path, paths: TrainedPaths) -> None:
    """Writes genes and losses as .npz, whole."""
    content = io.BytesIO()
    np.savez_compressed(content, genes=paths.genes.astype(np.int16), losses=paths.losses)
    write_bytes(path, content.getvalue())


def read_paths(path: Path) -> TrainedPaths:
    """Reads what `write_paths` wrote.

    Raises:
        DamagedFile: it is not there, or is no such file.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes())) as arrays:
            genes, losses = arrays["genes"].astype(np.int64), arrays["losses"]
    except FileNotFoundError as error:
        raise DamagedFile(f"{path} is missing") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DamagedFile(f"{path} is damaged: {error}") from error
    if genes.ndim != 3 or losses.shape != genes.shape[:2]:
        raise DamagedFile(f"{path} is damaged: genes of shape {genes.shape}, losses of {losses.shape}")
    return TrainedPaths(genes, losses)
