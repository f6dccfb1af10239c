"""The controller of the MnasNet paper: an LSTM that decides gene after gene, and PPO, which trains it on rewards alone.

Tan et al. 2019 (section 4.2) take the controller of NASNet (Zoph et al. 2018, appendix): one layer of 100 units, a
softmax a decision, weights from U(-.1, .1), Adam. Both are silent on the rest of PPO; what is ours is said below.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mnas_evo.training.places import one_thread

UNITS = 100
_INITIAL = 0.1  # weights are drawn from (-.1, .1)
_LACKING = -1e9  # logit of an option that a decision lacks; in float32 its probability is 0
_TINY = 1e-8


@dataclass(frozen=True, slots=True)
class Ppo:
    """How a controller learns; the defaults are the paper's.

    `clip`, `epochs` a minibatch, and rewards taken as they are, not divided by their spread: ours, the paper is silent.
    """

    minibatch: int = 20
    learning_rate: float = 3.5e-4
    entropy_weight: float = 1e-5
    clip: float = 0.2
    epochs: int = 4
    baseline_decay: float = 0.95
    normalised: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions, and how a policy stands to each: all of shape (n, decisions).

    `choices`: number of the option. `log_probs`: of that option. `entropies`: of all options there, nats.
    """

    choices: Tensor
    log_probs: Tensor
    entropies: Tensor


class Policy(nn.Module):
    """Probability of each option, decision by decision, given those decided before.

    Every decision has a softmax and embeddings of its own, which the papers leave open; the embedding of what was
    decided is the next step's input, a learnt one that of the first.
    """

    def __init__(self, sizes: Sequence[int], *, rng: torch.Generator) -> None:
        """`sizes`: number of options of each decision."""
        super().__init__()
        decisions, most = len(sizes), max(sizes)
        self.embeddings = nn.Parameter(torch.empty(1 + sum(sizes), UNITS, dtype=torch.float32))
        # Made without its own initial weights, which would be drawn from torch's global generator.
        self.lstm = nn.LSTM(UNITS, UNITS, dtype=torch.float32, device="meta").to_empty(device="cpu")
        self.heads = nn.Parameter(torch.empty(decisions, UNITS, most, dtype=torch.float32))
        self.biases = nn.Parameter(torch.empty(decisions, 1, most, dtype=torch.float32))
        with torch.no_grad():
            for weights in self.parameters():
                weights.uniform_(-_INITIAL, _INITIAL, generator=rng)
        lacking = torch.arange(most) >= torch.tensor(sizes)[:, None]
        self.lacking = lacking[:, None].to(torch.float32) * _LACKING
        self.first = torch.tensor(list(accumulate(sizes[:-1], initial=1)))  # embedding of each decision's option 0

    @torch.no_grad()
    def sample(self, n: int, *, rng: torch.Generator) -> Decided:
        """Decisions drawn one after the other, n times."""
        biases = self.biases + self.lacking
        ((from_input, recurrent, input_bias, recurrent_bias),) = self.lstm.all_weights
        # All embeddings pass the input weights at once: half of the arithmetic of a step.
        entering = functional.linear(self.embeddings, from_input, input_bias + recurrent_bias)
        # The largest of logit + Gumbel noise is an option drawn by its probability.
        noise = torch.empty(len(biases), n, biases.shape[2], dtype=torch.float32).exponential_(generator=rng).log_()
        hidden = cell = torch.zeros(n, UNITS, dtype=torch.float32)
        entered = torch.zeros(n, dtype=torch.int64)
        logits, choices = torch.empty_like(noise), torch.empty(noise.shape[:2], dtype=torch.int64)
        for step, first in enumerate(self.first):
            gates = torch.addmm(entering[entered], hidden, recurrent.T)
            let_in, kept, new, out = gates.chunk(4, dim=1)
            cell = kept.sigmoid() * cell + let_in.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
            torch.addmm(biases[step], hidden, self.heads[step], out=logits[step])
            choices[step] = (logits[step] - noise[step]).argmax(dim=1)
            entered = first + choices[step]
        return _decided(logits, choices)

    def forward(self, choices: Tensor) -> Decided:
        """The same of decisions that were taken already, (n, decisions), all steps in one call."""
        taken = choices.T
        entered = functional.pad(self.first[:-1, None] + taken[:-1], (0, 0, 1, 0))
        hidden, _ = self.lstm(functional.embedding(entered, self.embeddings))
        return _decided(torch.baddbmm(self.biases + self.lacking, hidden, self.heads), taken)


def _decided(logits: Tensor, choices: Tensor) -> Decided:
    """Of logits (decisions, n, options) and choices (decisions, n)."""
    log_probs = functional.log_softmax(logits, dim=2)
    taken = log_probs.gather(2, choices[..., None])[..., 0]
    entropies = -(log_probs.exp() * log_probs).sum(dim=2)
    return Decided(choices.T, taken.T, entropies.T)


def ppo_loss(now: Decided, then: Decided, advantages: Tensor, ppo: Ppo) -> Tensor:
    """What is minimised (Schulman et al. 2017, equation 7), less the weighted entropy; mean of n, sum of decisions.

    Each decision is clipped on its own, and all of an architecture share its advantage (n,): the reward comes last.
    """
    ratio = (now.log_probs - then.log_probs).exp()
    gain = torch.minimum(ratio * advantages[:, None], ratio.clamp(1 - ppo.clip, 1 + ppo.clip) * advantages[:, None])
    return -(gain + ppo.entropy_weight * now.entropies).sum(dim=1).mean()


class Controller:
    """A policy and what it has learnt; deterministic in (seed, rewards), in float32 on one thread of the CPU.

    The baseline begins as the mean of the first minibatch, where the papers are silent: from 0 on, every early
    architecture would look good. An epoch is one step of Adam on the whole minibatch.
    """

    def __init__(self, sizes: Sequence[int], ppo: Ppo, *, seed: Sequence[int]) -> None:
        """`sizes`: number of options of each decision."""
        (state,) = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self._rng = torch.Generator().manual_seed(int(state))
        self.policy = Policy(sizes, rng=self._rng)
        self.baseline: float | None = None
        self._ppo = ppo
        self._adam = torch.optim.Adam(self.policy.parameters(), lr=ppo.learning_rate)

    def sample(self) -> Decided:
        """A minibatch of decisions."""
        with one_thread():
            return self.policy.sample(self._ppo.minibatch, rng=self._rng)

    def learn(self, decided: Decided, rewards: NDArray[np.float64]) -> None:
        """Makes decisions that had more reward (n,) than the baseline likelier, others less so."""
        mean = float(rewards.mean())
        baseline = mean if self.baseline is None else self.baseline
        advantages = rewards - baseline
        if self._ppo.normalised:
            advantages = (advantages - advantages.mean()) / (advantages.std() + _TINY)
        weights = torch.tensor(advantages, dtype=torch.float32)
        with one_thread(), torch.enable_grad():
            for _ in range(self._ppo.epochs):
                self._adam.zero_grad()
                loss = ppo_loss(self.policy(decided.choices), decided, weights, self._ppo)
                torch.autograd.backward(loss)
                self._adam.step()
        decay = self._ppo.baseline_decay
        self.baseline = decay * baseline + (1 - decay) * mean
