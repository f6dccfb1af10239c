"""train() against a bare torch loop over the same batches, on one thread, and what drawing those takes.

Seconds are the process's own: other work on the machine changes them less than the clock's.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from mnas_evo.data.datasets import ImageSet, search_data
from mnas_evo.data.images import Images
from mnas_evo.models.fresh_weights import initialise
from mnas_evo.models.torch_network import GraphNetwork, ModuleOptions
from mnas_evo.space.architecture import Network
from mnas_evo.space.lowering import lower
from mnas_evo.space.notation import parse_network
from mnas_evo.training.feed import Feed
from mnas_evo.training.loop import Epoch, Watching, train
from mnas_evo.training.optimizer import optimizer_and_schedule
from mnas_evo.training.recipe import Recipe, load_recipe

LAYERS = "stem16/r1_k3_s11_e1_o16/r2_k3_s22_e3_o24/r2_k5_s22_e3_o40_se0.25/head128"
BATCH = 64
STEPS = 40
ROUNDS = 20  # epochs; the first is not counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a data set by name; without it, random images of 28x28x1 and 32x32x3")
    name = parser.parse_args().data
    torch.set_num_threads(1)
    if name is not None:
        data = search_data(name)
        run(name, data.train, len(data.classes), recipe("quick"))
        return
    run("28x28x1", random_images(1, 28), 10, recipe("fashion-mnist"))
    run("32x32x3", random_images(3, 32), 10, recipe("cifar10"))


def recipe(name: str) -> Recipe:
    return load_recipe(name).model_copy(update={"epochs": ROUNDS, "batch": BATCH})


def random_images(channels: int, side: int) -> ImageSet:
    rng = np.random.default_rng(0)
    count = STEPS * BATCH
    images = rng.integers(0, 256, (count, channels, side, side), dtype=np.uint8)
    return ImageSet(images, rng.integers(0, 10, count))


def run(title: str, images: Images, classes: int, recipe: Recipe) -> None:
    """Prints images a second of both ways, timed in turn epoch by epoch, and what the input takes of a step."""
    images = images.rows(np.arange(STEPS * BATCH) % len(images))
    channels, height, width = images.shape
    network = parse_network(f"{height}x{width}x{channels}/{LAYERS}/{classes}")
    feed = Feed((images, images), recipe, seed=0)
    bare_epoch = bare_loop(network, feed, recipe)
    rounds: list[tuple[float, float, float]] = []
    began = 0.0

    def epoch_done(epoch: Epoch, total: int) -> None:
        nonlocal began
        ours = time.process_time() - began
        with torch.inference_mode(False), torch.enable_grad():  # it is called from within a validation
            plain = seconds(lambda: bare_epoch(epoch.number))
        input_alone = seconds(lambda: [feed.normalised(pixels) for pixels, _ in feed.training(epoch.number)])
        rounds.append((ours, plain, input_alone))
        began = time.process_time()

    # Next to nothing to validate: the bare loop does not either.
    watching = Watching(epoch_done=epoch_done)
    train(network, data=(images, images.rows(np.arange(2))), recipe=recipe, seed=0, watching=watching)
    ours, plain, input_alone = np.median(rounds[1:], axis=0)
    ratios = [plain / ours for ours, plain, _ in rounds[1:]]
    low, middle, high = np.percentile(ratios, (10, 50, 90))
    print(
        f"{title}: train() {len(images) / ours:,.0f} against {len(images) / plain:,.0f} images/s, ratio {middle:.3f} "
        f"({low:.3f} to {high:.3f} in 80 % of {len(ratios)} epochs); input {1e3 * input_alone / STEPS:.2f} ms a batch "
        f"of {BATCH}, {100 * input_alone / plain:.1f} % of a step"
    )


def bare_loop(network: Network, feed: Feed, recipe: Recipe) -> Callable[[int], None]:
    """An epoch as plain torch would train it: batch, forward, loss, backward and optimiser."""
    options = ModuleOptions(dropout=recipe.dropout, norm_momentum=recipe.norm_momentum)
    module = GraphNetwork(lower(network), options=options)
    initialise(module, seed=0, first=recipe.first_weights)
    module.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer, schedule = optimizer_and_schedule([module.parameters()], recipe, steps=STEPS)

    def epoch(number: int) -> None:
        for pixels, labels in feed.training(number):
            optimizer.zero_grad()
            loss = F.cross_entropy(module(feed.normalised(pixels)), labels, label_smoothing=recipe.label_smoothing)
            loss.backward()
            optimizer.step()
            schedule.step()

    return epoch


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds that some work takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
