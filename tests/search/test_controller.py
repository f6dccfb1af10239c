"""The controller by itself: its probabilities, the gradient of PPO, and what it learns."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from mnas_evo.search.controller import Controller, Decided, Policy, Ppo, ppo_loss

SIZES = (2, 4, 3, 1, 3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uneven(sizes: Sequence[int] = SIZES) -> Policy:
    """A policy that has its preferences, as after learning."""
    policy = Policy(sizes, rng=generator())
    with torch.no_grad():
        for weights in policy.parameters():
            weights.mul_(5)
    return policy


def gradients(policy: Policy, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(policy.parameters())))


def decided(log_probs: Tensor) -> Decided:
    return Decided(torch.zeros_like(log_probs, dtype=torch.int64), log_probs, torch.zeros_like(log_probs))


def test_weights_begin_between_minus_and_plus_a_tenth() -> None:
    for weights in Policy(SIZES, rng=generator()).parameters():
        assert weights.dtype == torch.float32
        assert weights.abs().max() <= 0.1 < 2 * weights.abs().max()


def test_sampling_and_teacher_forcing_agree_on_log_probabilities_and_entropies() -> None:
    policy = uneven()
    sampled = policy.sample(50, rng=generator(1))
    forced = policy(sampled.choices)
    assert sampled.choices.shape == sampled.log_probs.shape == (50, len(SIZES))
    torch.testing.assert_close(forced.log_probs, sampled.log_probs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(forced.entropies, sampled.entropies, atol=1e-5, rtol=1e-5)
    assert sampled.log_probs.std() > 0.3


def test_probabilities_sum_to_one_and_what_is_sampled_has_them() -> None:
    policy, n = uneven(), 4000
    every = torch.tensor(list(product(*map(range, SIZES))))
    probabilities = policy(every).log_probs.sum(dim=1).exp().detach().numpy()
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    rows = np.ravel_multi_index(policy.sample(n, rng=generator(1)).choices.numpy().T, SIZES)
    shares = np.bincount(rows, minlength=len(every)) / n
    assert (np.abs(shares - probabilities) < 5 * np.sqrt(probabilities / n) + 1e-3).all()


def test_every_option_is_sampled_and_none_that_a_decision_lacks() -> None:
    sampled = Policy(SIZES, rng=generator()).sample(2000, rng=generator(1))
    for decision, size in enumerate(SIZES):
        assert sampled.choices[:, decision].unique().tolist() == list(range(size))
    even = torch.tensor(SIZES, dtype=torch.float32).log()
    assert (sampled.entropies <= even + 1e-5).all() and (sampled.entropies >= 0.8 * even).all()


def test_the_first_step_of_ppo_goes_in_the_direction_of_the_policy_gradient() -> None:
    policy = uneven()
    then = policy.sample(20, rng=generator(1))
    advantages = torch.randn(20, generator=generator(2))
    now = policy(then.choices)
    ours = gradients(policy, ppo_loss(now, then, advantages, Ppo(entropy_weight=0)))
    reinforce = gradients(policy, -(advantages * policy(then.choices).log_probs.sum(dim=1)).mean())
    for one, other in zip(ours, reinforce, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_a_decision_that_moved_past_the_clip_the_way_it_should_is_pushed_no_further() -> None:
    then = decided(torch.zeros(2, 3))
    log_probs = torch.tensor([[1.3, 1.1, 0.7], [1.3, 0.9, 0.7]]).log().requires_grad_()
    advantages = torch.tensor([1.0, -1.0])  # the first should become likelier, the second less likely
    ppo_loss(decided(log_probs), then, advantages, Ppo(clip=0.2, entropy_weight=0)).backward()
    assert log_probs.grad is not None
    assert log_probs.grad.sign().tolist() == [[0, -1, -1], [1, 1, 0]]


def test_more_entropy_is_less_loss_by_its_weight() -> None:
    entropies = torch.ones(4, 3, requires_grad=True)
    none = torch.zeros(4, 3)
    now = Decided(none.to(torch.int64), none, entropies)
    ppo_loss(now, now, torch.zeros(4), Ppo(entropy_weight=0.5)).backward()
    assert entropies.grad is not None
    torch.testing.assert_close(entropies.grad, torch.full((4, 3), -0.5 / 4))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_with_nothing_to_choose_between_the_entropy_bonus_alone_moves_a_policy_and_makes_it_even(weight: float) -> None:
    controller = Controller(SIZES, Ppo(entropy_weight=weight, learning_rate=3e-3), seed=(0,))
    with torch.no_grad():
        controller.policy.biases.mul_(20)
    before = controller.policy.sample(200, rng=generator()).entropies.mean()
    for _ in range(20):
        controller.learn(controller.sample(), np.full(20, 0.7))
    after = controller.policy.sample(200, rng=generator()).entropies.mean()
    assert (after > before + 0.05) if weight else after == before


def test_the_baseline_begins_as_the_first_mean_and_follows_by_a_twentieth() -> None:
    controller = Controller(SIZES, Ppo(minibatch=2), seed=(0,))
    controller.learn(controller.sample(), np.array([0.0, 2.0]))
    assert controller.baseline == pytest.approx(1)
    controller.learn(controller.sample(), np.array([3.0, 3.0]))
    assert controller.baseline == pytest.approx(0.95 * 1 + 0.05 * 3)


def test_normalised_the_scale_of_rewards_changes_nothing_but_so_it_does_as_in_the_paper() -> None:
    def learnt(ppo: Ppo, *, scale: float, offset: float) -> Tensor:
        controller = Controller(SIZES, ppo, seed=(0,))
        controller.learn(controller.sample(), offset + scale * np.random.default_rng(0).random(20))
        return controller.policy.heads.detach()

    # An entropy weight makes the paper's differ: Adam alone would hide a scale.
    for normalised in (True, False):
        ppo = Ppo(entropy_weight=0.1, normalised=normalised)
        one, other = learnt(ppo, scale=0.1, offset=0.0), learnt(ppo, scale=2.0, offset=3.0)
        assert torch.allclose(one, other, atol=1e-5) == normalised


def test_torchs_threads_generator_and_gradient_mode_stay_as_they_were() -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            controller = Controller(SIZES, Ppo(minibatch=4), seed=(0,))
            heads = controller.policy.heads.clone()
            controller.learn(controller.sample(), np.arange(4.0))
            assert not torch.is_grad_enabled()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(heads, controller.policy.heads)


def test_with_the_papers_settings_it_learns_what_is_rewarded() -> None:
    controller = Controller((3,) * 12, Ppo(), seed=(0,))
    means = []
    for _ in range(50):
        sampled = controller.sample()
        rewards = (sampled.choices == 1).numpy().mean(axis=1)  # a third, of random choices; deviation of a mean: .03
        controller.learn(sampled, rewards)
        means.append(rewards.mean())
    assert np.mean(means[:3]) < 0.45
    assert np.mean(means[-5:]) > 0.6
