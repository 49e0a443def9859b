"""A lower bound on epsilon from one release, where chance alone decided who was in.

Members and non-members are paired at random. Given a pair, each of the two is the member with probability one
half, by a coin of the pair's own, so guessing the member of each pair is the one-run game, and what a flipped
coin changes is one unit replaced by another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from privsynth.attacks.one_run import one_run_epsilon

GUESSED_SHARE = 0.1  # of the pairs, those with the clearest difference; fixed beforehand


def pair_bound(
    member_scores: np.ndarray,
    non_member_scores: np.ndarray,
    *,
    delta: float,
    confidence: float,
    generator: np.random.Generator,
) -> dict[str, Any] | None:
    """Return the bound and the guesses behind it; None with fewer than ten pairs.

    Args:
        member_scores: One score a member.
        non_member_scores: One score a non-member.
        delta: Of the replace-one relation, at which epsilon is bounded.
        confidence: Coverage of the bound.
        generator: Forms the pairs.

    Returns:
        ``epsilon``, ``relation`` (``replace_one``), ``delta``, ``confidence``, ``n_pairs``, ``n_guesses``,
        ``n_correct``.

    Privacy:
        Not private: figures of real records.

    References:
        Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS 2023.
    """
    n_pairs = min(len(member_scores), len(non_member_scores))
    if n_pairs < 10:
        return None
    members = member_scores[generator.permutation(len(member_scores))[:n_pairs]]
    others = non_member_scores[generator.permutation(len(non_member_scores))[:n_pairs]]
    difference = members - others
    n_guesses = max(1, int(GUESSED_SHARE * n_pairs))
    clearest = np.argsort(-np.abs(difference), kind="stable")[:n_guesses]
    n_correct = int((difference[clearest] > 0).sum())  # a tie is a wrong guess
    return {
        "epsilon": one_run_epsilon(
            n_canaries=n_pairs, n_guesses=n_guesses, n_correct=n_correct, delta=delta, confidence=confidence
        ),
        "relation": "replace_one",
        "delta": delta,
        "confidence": confidence,
        "n_pairs": n_pairs,
        "n_guesses": n_guesses,
        "n_correct": n_correct,
    }
