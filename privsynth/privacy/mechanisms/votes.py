"""Noisy votes of teachers that share no record, as PATE has them.

Every unit is given to one of ``n_teachers`` teachers once, by an independent secret uniform draw. A teacher
votes on generated rows after learning from its own records and from generated ones; removing a unit changes
one teacher, so each count of votes by at most one. Only counts with noise leave the curator. The noise level
does not depend on how much the teachers agree, so neither does what is charged.

References:
    Papernot et al., "Scalable Private Learning with PATE", ICLR 2018 (Gaussian noise on votes). Jordon, Yoon
    and van der Schaar, "PATE-GAN", ICLR 2019.

Proved in Lemma 5 of ``PROOF.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from privsynth.domains.coding import Coding
from privsynth.errors import ParameterError
from privsynth.privacy.mechanisms.base import Exact, NoisyMechanism
from privsynth.privacy.randomness import SecureRandom, uniforms
from privsynth.privacy.records import SensitiveRecords

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

    def divide(
        self, take: Callable[[IntArray], torch.Tensor], teachers: IntArray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each teacher's records, ``(n_teachers, part_size, n_columns)``, and which are present.

        Args:
            take: Returns the records of some units, ``(n, n_columns)``.
            teachers: The teacher of each unit, ``(n_units,)``.

        Privacy:
            Not private. The shape is public, so one record more changes nothing about other teachers.
        """
        order = np.argsort(teachers, kind="stable")
        sorted_teachers = teachers[order]
        place = np.arange(len(order)) - np.searchsorted(sorted_teachers, sorted_teachers)
        order, sorted_teachers, place = (x[place < self.part_size] for x in (order, sorted_teachers, place))
        records = take(order)
        parts = torch.full((self.n_teachers, self.part_size, records.shape[1]), -1, dtype=records.dtype)
        parts[sorted_teachers, place] = records
        present = torch.zeros(self.n_teachers, self.part_size, dtype=torch.bool)
        present[sorted_teachers, place] = True
        return parts, present


@dataclass(frozen=True, kw_only=True)
class Votes(NoisyMechanism):
    """How many teachers vote "real" on each generated row (array ``votes``).

    Units are given to teachers once a run, of a person one row. Every query is one Gaussian event, whatever
    is made of it.

    Attributes:
        codings: Coding of every column, in the order of the rows' codes.
        ensemble: Public parameters of the teachers.
        teacher: What one teacher does.
        n_queries: Number of rows that are voted on; the noise is in teachers.
    """

    has_own_stream = True

    codings: Mapping[str, Coding]
    ensemble: TeacherEnsemble
    teacher: Teacher
    n_queries: int

    @property
    def n_releases(self) -> int:
        """See `NoisyMechanism`."""
        return self.n_queries

    def exact(self, records: SensitiveRecords) -> Exact:
        """See `NoisyMechanism`: one unit changes one teacher, so each count by at most 1."""
        held = records.rows(self.codings)

        def assign(secret: SecureRandom) -> tuple[IntArray, IntArray]:
            rows = held.weighting.poisson_sample(1.0, n_rows=len(held), secret=secret)
            return rows, self.ensemble.assign(len(rows), secret)

        rows, teachers = records.once(self.ensemble, assign)
        parts, present = self.ensemble.divide(lambda at: held.take(rows[at]), teachers)
        votes = count_votes(self.teacher, parts, present, n_queries=self.n_queries)
        return Exact(arrays={"votes": votes}, steps_per_unit=1, is_each_value_a_release=True)


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
