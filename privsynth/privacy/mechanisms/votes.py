"""Noisy votes of teachers that share no record: the part of PATE that bounds what one unit can do.

Every unit is given to one of ``n_teachers`` teachers once, by an independent secret uniform draw. A teacher
votes on generated rows after learning from its own records and from generated ones; removing a unit changes
one teacher, so each count of votes by at most one. Only counts with noise leave the curator. The noise level
does not depend on how much the teachers agree, so neither does what is charged.

References:
    Papernot et al., "Scalable Private Learning with PATE", ICLR 2018 (Gaussian noise on votes). Jordon, Yoon
    and van der Schaar, "PATE-GAN", ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.errors import ParameterError
from privsynth.privacy.randomness import SecureRandom, uniforms

IntArray = NDArray[np.int64]
Teacher = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""``teacher(records, present)`` returns one score for each generated row in question, above 0 for "real".

It stands for one teacher: ``records`` are its own, ``(part_size, n_columns)``, those that are not
``present`` are padding.
"""

CHUNK = 64  # teachers in memory together


@dataclass(frozen=True, kw_only=True)
class TeacherEnsemble:
    """Public parameters of the teachers.

    Attributes:
        n_teachers: Number of teachers, >= 1.
        part_size: Records that a teacher looks at; if it was given more, the rest is left out.
    """

    n_teachers: int
    part_size: int

    def __post_init__(self) -> None:
        if self.n_teachers < 1 or self.part_size < 1:
            raise ParameterError(f"expected n_teachers >= 1 and part_size >= 1, got {self}")

    def assign(self, n_units: int, secret: SecureRandom) -> IntArray:
        """Give each unit to a teacher, independently and uniformly, ``(n_units,)``.

        Privacy:
            Not private: stays inside the curator.
        """
        return np.floor(uniforms(n_units, secret) * self.n_teachers).astype(np.int64)

    def divide(self, records: torch.Tensor, teachers: IntArray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each teacher's records, ``(n_teachers, part_size, n_columns)``, and which are present.

        Privacy:
            Not private. The shape is public, so one record more changes nothing about other teachers.
        """
        order = np.argsort(teachers, kind="stable")
        sorted_teachers = teachers[order]
        place = np.arange(len(order)) - np.searchsorted(sorted_teachers, sorted_teachers)
        order, sorted_teachers, place = (x[place < self.part_size] for x in (order, sorted_teachers, place))
        parts = torch.full((self.n_teachers, self.part_size, records.shape[1]), -1, dtype=records.dtype)
        parts[sorted_teachers, place] = records[order]
        present = torch.zeros(self.n_teachers, self.part_size, dtype=torch.bool)
        present[sorted_teachers, place] = True
        return parts, present


def count_votes(teacher: Teacher, parts: torch.Tensor, present: torch.Tensor, *, n_queries: int) -> IntArray:
    """Return how many teachers vote "real" on each generated row, ``(n_queries,)``.

    The teacher's function is mapped over the parts, so that none can see another's records. Whatever it
    returns, NaN included, counts as one vote or none.

    Args:
        teacher: What one teacher does.
        parts: Records of each teacher, ``(n_teachers, part_size, n_columns)``; -1 where there is none.
        present: Which records are there, ``(n_teachers, part_size)``.
        n_queries: Number of votes of each teacher that are paid for.

    Raises:
        ParameterError: If teachers vote more or less often.

    Privacy:
        Not private: adding or removing one unit moves every count by at most one.
    """
    votes = torch.zeros(n_queries, dtype=torch.int64)
    for part, there in zip(parts.split(CHUNK), present.split(CHUNK), strict=True):
        scores = torch.func.vmap(teacher)(part, there)
        if scores.shape != (len(part), n_queries):
            raise ParameterError(f"expected {n_queries} scores of a teacher, got {tuple(scores.shape[1:])}")
        votes += (scores > 0).sum(0)
    return votes.numpy()
