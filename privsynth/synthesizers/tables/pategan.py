"""`PATEGANSynthesizer`: a generator that follows a student, who learns from noisy votes of many teachers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import torch

from privsynth.accounting.budget import Spend
from privsynth.accounting.gdp import noise_for
from privsynth.domains.encoding import codings_of
from privsynth.errors import ParameterError
from privsynth.models.state import averaged_network, running_average
from privsynth.models.tables.teachers import PairKernel, Student
from privsynth.privacy.curator import Curator
from privsynth.privacy.mechanisms.votes import TeacherEnsemble, Votes
from privsynth.sampling.table_model import TableModel
from privsynth.schema import Schema
from privsynth.synthesizers.contract import FitPlan, Progress
from privsynth.synthesizers.interruption import FitInterrupted, deferred_interruption
from privsynth.synthesizers.tables.base import TableSynthesizer
from privsynth.synthesizers.tables.base_measurements import (
    BaseMeasurements,
    BaseMeasurementSettings,
    count_units,
    measure_base,
    planned_base_measurements,
)
from privsynth.synthesizers.training import independent_seeds

LEAST_SIGNAL = 20.0  # of `vote_signal`: below it a student was not seen to learn more than the start


@dataclass(frozen=True, kw_only=True)
class PATEGANSettings(BaseMeasurementSettings):
    """Public settings of the recipe; shares are of ``mu**2``, and the votes get what is left.

    Attributes:
        units_per_teacher: Units aimed at for each teacher. Few, because every vote counts for one, and
            the noise is the same for many teachers as for few.
        max_teachers: Largest number of teachers.
        n_rounds: Rounds of questions; 0 leaves the generator untrained, for comparison.
        queries_per_round: Generated rows that are voted on in each round; each costs budget.
        fakes_per_round: Generated rows that teachers compare their records with; they cost nothing.
        memory: Rounds whose votes the student learns from.
        vote_spread: Spread of the shares of votes that the student reckons with; smooths the noise away.
        n_states: Latent states of the generator.
        scatter: Standard deviation of the random part of its initial logits.
        temperature: Of the Gumbel-softmax.
        generator_rate: Adam's step of the generator.
        generator_steps: Generator steps in each round.
        fake_batch_size: Generated rows in each of them.
        one_way_weight: Weight of the divergence from the released 1-way marginals in the generator's loss.
        averaging: Decay over rounds of the running average of logits that is kept as the model.
    """

    units_per_teacher: int = 5
    max_teachers: int = 4000
    n_rounds: int = 40
    queries_per_round: int = 200
    fakes_per_round: int = 256
    memory: int = 5
    vote_spread: float = 0.1
    n_states: int = 2048
    scatter: float = 0.5
    temperature: float = 0.5
    generator_rate: float = 0.05
    generator_steps: int = 5
    fake_batch_size: int = 1024
    one_way_weight: float = 5.0
    averaging: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.units_per_teacher < 1 or self.max_teachers < 1 or self.memory < 1:
            raise ParameterError(
                "expected units_per_teacher, max_teachers and memory of 1 or more, got "
                f"{self.units_per_teacher!r}, {self.max_teachers!r}, {self.memory!r}"
            )
        if not (self.vote_spread > 0 and 0 <= self.averaging < 1):
            raise ParameterError(
                "expected vote_spread > 0 and 0 <= averaging < 1, got "
                f"{self.vote_spread!r}, {self.averaging!r}"
            )

    def ensemble(self, n_units: float) -> TeacherEnsemble:
        """Return the teachers for about so many units; ``n_units`` is public, or was released."""
        n_teachers = int(min(max(n_units / self.units_per_teacher, 1.0), self.max_teachers))
        mean = n_units / n_teachers
        return TeacherEnsemble(n_teachers=n_teachers, part_size=math.ceil(mean + 6.0 * math.sqrt(mean)) + 10)


class PATEGANSynthesizer(TableSynthesizer):
    """Train a generator against a student that only ever sees generated rows and noisy votes of teachers.

    Every unit belongs to one teacher, who compares generated rows with its own records; the noisy count of
    teachers that find a row real is what is released. Beside the votes it measures domains, 1-way marginals,
    and the table of target with groups. A vote costs ``1 / sigma**2`` with ``sigma`` in teachers, so there
    must be many: with less than about ``400 / mu`` units (1,900 at epsilon 1, 700 at 3, 250 at 10) expect
    little beyond the start, and with a few dozen teachers nothing. Computes on the CPU, always.

    Args and attributes are those of `TableSynthesizer`.

    Example:
        >>> import pandas as pd
        >>> schema = Schema({"sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
        ...                  "ill": {"type": "boolean", "role": "target"}, "fit": {"type": "boolean"}})
        >>> table = pd.DataFrame({"sex": ["F", "M"] * 200, "ill": [True, False] * 200,
        ...                       "fit": [False, True] * 200})
        >>> settings = PATEGANSettings(n_rounds=3, n_states=64)
        >>> synthesizer = PATEGANSynthesizer(epsilon=None, settings=settings).fit(table, schema=schema)
        >>> len(synthesizer.sample(10, conditions={"ill": True}))
        10

    References:
        Jordon, Yoon and van der Schaar, "PATE-GAN", ICLR 2019, with the partition drawn once, every vote
        charged, and a charge that does not depend on the votes. Gretton et al., "A Kernel Two-Sample Test",
        JMLR 2012 (the teachers' witness function).
    """

    name = "pategan"
    settings_type = PATEGANSettings

    @classmethod
    def plan_for(cls, schema: Schema, settings: PATEGANSettings, allowance: Spend, n_rows: int) -> FitPlan:
        """Say what a fit of about ``n_rows`` units would release under this budget."""
        steps = planned_base_measurements(schema, settings, allowance.mu_squared)
        left = 1.0 - sum(step["share"] for step in steps)
        ensemble = settings.ensemble(n_rows)
        count = settings.n_rounds * settings.queries_per_round
        n_teachers = ensemble.n_teachers
        advice = [f"{n_teachers} teachers, each with about {n_rows / n_teachers:.0f} {schema.unit}s"]
        signal = vote_signal(ensemble.n_teachers, left * allowance.mu_squared)
        if signal < LEAST_SIGNAL:
            needed = math.ceil(LEAST_SIGNAL / signal * n_rows / 100) * 100
            advice.append(
                f"that is too few for this epsilon: expect independent columns; about {needed} "
                f"{schema.unit}s, or an epsilon larger by a factor of about {LEAST_SIGNAL / signal:.1f}, "
                "would be needed"
            )
        if count:
            noise = noise_for(left * allowance.mu_squared / count)
            steps.append(
                {"purpose": PURPOSE, "share": left, "count": count, "noise_std": noise, "of": "teacher"}
            )
        return FitPlan(steps=tuple(steps), advice=tuple(advice))

    def _make(
        self, curator: Curator, settings: PATEGANSettings, *, seed: int, device: str, progress: Progress
    ) -> TableModel:
        progress("finding domains", 0, settings.n_rounds)
        n_units = count_units(curator, settings.units_share)
        first = measure_base(curator, settings, n_units=n_units)
        game = _Game(curator, first, settings, seed=seed)
        with deferred_interruption() as interruption:
            for index in range(settings.n_rounds):
                if not game.play(index):
                    break
                progress("training: teachers vote", index + 1, settings.n_rounds)
                if interruption.requested and index + 1 < settings.n_rounds:
                    raise FitInterrupted(game.model(), f"after {index + 1} of {settings.n_rounds} rounds")
        return game.model()


PURPOSE = "votes of teachers"


def vote_signal(n_teachers: int, mu_squared: float) -> float:
    """Return how far votes stand above their noise, all together, if shares spread by a quarter; public."""
    return 0.25 * n_teachers * math.sqrt(mu_squared)


class _Game:
    """Generator and student between two rounds: a function of releases, settings and seed.

    Teachers keep nothing from round to round: each compares its own records with the generator's present
    rows. A resumed run plays the rounds that are stored again, and ends where the whole run would have.
    """

    def __init__(
        self, curator: Curator, first: BaseMeasurements, settings: PATEGANSettings, *, seed: int
    ) -> None:
        self._curator = curator
        self._first = first
        self._settings = settings
        self._ensemble = settings.ensemble(first.domains.n_units)
        (draws,) = independent_seeds(seed, 1)
        self._generator = first.generator(
            curator.schema,
            n_states=settings.n_states,
            scatter=settings.scatter,
            temperature=settings.temperature,
            rng=torch.Generator().manual_seed(draws),
        )
        self._kernel = PairKernel(self._generator.sizes, self._generator.one_way)
        self._optimizer = torch.optim.Adam(
            [self._generator.logits], lr=settings.generator_rate, betas=(0.5, 0.99)
        )
        self._average = running_average(self._generator, settings.averaging)
        self._answers: list[tuple[torch.Tensor, torch.Tensor, float]] = []

    def play(self, index: int) -> bool:
        """Ask the teachers about generated rows, teach the student, move the generator; False if broke."""
        settings, key = self._settings, f"votes/{index:03d}"
        left = self._curator.remaining(key)
        if left <= 1e-9 * self._curator.allowance.mu_squared:
            return False  # attempts that were lost in crashes have used up what was left
        noise = noise_for(left / (settings.n_rounds - index) / settings.queries_per_round)
        fakes, queries = self._codes(settings.fakes_per_round), self._codes(settings.queries_per_round)
        votes = Votes(
            purpose=PURPOSE,
            codings=codings_of(self._first.codes.by_column),
            ensemble=self._ensemble,
            teacher=partial(self._kernel.teacher, fakes=fakes, queries=queries),
            n_queries=len(queries),
            noise_multiplier=noise,
        )
        release = self._curator.release(key, votes)
        shares = torch.from_numpy(release.arrays["votes"]).float() / self._ensemble.n_teachers
        self._answers.append((queries, shares - shares.mean(), noise / self._ensemble.n_teachers))
        self._follow(self._student())
        self._average.update_parameters(self._generator)
        return True

    def model(self) -> TableModel:
        """Return the model of the averaged generator."""
        mixture = averaged_network(self._average).mixture(tuple(self._first.codes.by_column))
        return self._first.table_model(self._curator.schema, mixture)

    @torch.no_grad()
    def _codes(self, n: int) -> torch.Tensor:
        blocks = self._generator.draw(n).split(list(self._generator.sizes), dim=1)
        return torch.stack([block.argmax(1) for block in blocks], dim=1)

    def _student(self) -> Student:
        queries, shares, noises = zip(*self._answers[-self._settings.memory :], strict=True)
        return Student(
            self._kernel,
            torch.cat(queries),
            torch.cat(shares),
            noise=max(noises),
            spread=self._settings.vote_spread,
        )

    def _follow(self, student: Student) -> None:
        """Move the generator towards rows that the student finds more real than its others."""
        for _ in range(self._settings.generator_steps):
            scores = student.score(self._generator.draw(self._settings.fake_batch_size))
            loss = -scores.mean() / scores.detach().std().clamp_min(1e-6)
            loss = loss + self._settings.one_way_weight * self._generator.one_way_miss()
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
