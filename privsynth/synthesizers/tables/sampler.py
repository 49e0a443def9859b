"""Drawing rows from a fitted table model: what every table synthesizer can do, whatever it learnt from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from privsynth.errors import ParameterError, RequestError
from privsynth.errors.arguments import whole_number
from privsynth.io.blocks import TableFile, in_batches, write_blocks
from privsynth.io.source import Table
from privsynth.io.tables import read_table
from privsynth.sampling.blocks import Drawing
from privsynth.sampling.completion import COMPLETED_NOT_COVERED, complete_rows
from privsynth.sampling.going_on import rows_that_follow
from privsynth.sampling.histories import SequenceModel, check_of_persons, expected_rows, histories_of
from privsynth.sampling.plan import Plan
from privsynth.sampling.request import SampleOptions, SampleRequest
from privsynth.sampling.rows import draw_rows, every_label, frames_of, rows_of
from privsynth.sampling.table_model import TableModel
from privsynth.synthesizers.contract import Progress
from privsynth.synthesizers.drawn_files import write_drawn
from privsynth.synthesizers.request_sampler import RequestSampler


class TableSampler(RequestSampler[TableModel | SequenceModel]):
    """Sampling half of a table synthesizer.

    Privacy:
        Post-processing of the model; ``like`` and frames to complete are taken as public.
    """

    def sample(
        self, n: int | None = None, *, random_state: int | None = None, **asked: Unpack[SampleOptions]
    ) -> pd.DataFrame:
        """Draw exactly ``n`` synthetic rows, conditioned and balanced exactly, without rejection.

        Where the schema says what the rows of a person share, or how they are ordered, ``n`` persons are
        drawn with all their rows: in order, those of one person together. Then what is asked for is met over
        persons, and may name what their rows share and ``n_records``, how many rows they have; the number of
        persons is in ``attrs["persons"]`` of the rows.

        Targets on several columns (``balance``, ``proportions``, ``like``, ``parity``) are met together: the
        joint of their columns is the one nearest to the model's that has the margins asked for.

        Args:
            n: Number of rows, or of persons; by default the sum of the counts asked for, else the noisy
                number of units.
            random_state: Fixes the rows drawn: a whole number >= 0, or a generator of numpy.
            **asked: What is asked for, by the keywords that follow.
            conditions: Column to a value, an inclusive range (text like ``"18..30"``, a 2-tuple, or a mapping
                with ``low`` and ``high``), a list of these, or None for missing.
            balance: Categorical or boolean columns whose every combination gets equally many rows. Rows in
                which one of them is missing are left out, which is warned of and in ``attrs["left_out"]``.
            balance_missing: Balance missing as one of the values of these columns.
            proportions: Shares or counts: ``{"sex": {"F": 0.5, "M": 0.5}}``, values that are not named
                sharing what is left; a frame, or a file, of columns and ``share`` or ``count``; a series, as
                ``value_counts(normalize=True)`` and ``groupby(...).size()`` give it; or a list. Ranges of a
                number line are written as in a condition.
            like: Rows of a public reference table, or its file: their joint distribution is taken over.
                The guarantee does not cover it, and ``attrs["not_covered"]`` of the rows says so.
            parity: ``(target, groups)``: the same rate of every label in every group, or a mapping
                ``{"target": ..., "groups": [...], "decorrelate": [...]}``; see
                `privsynth.sampling.request.Parity`. What meeting targets moves is in
                ``attrs["rebalancing_cost"]`` of the rows (see `rebalancing_cost`).
            on_unsupported: What to do with a cell that has less than one unit behind it: refuse (``"error"``,
                the default), ``"warn"`` and extrapolate, or ``"drop"`` it. A cell that has more, but less
                than two noise deviations of a measured table that covers its columns, is warned of.

        Raises:
            RequestError: If the request is malformed, or its targets contradict one another.
            UnsupportedRequestError: If the model knows nothing about a cell that is asked for.

        Privacy:
            Post-processing; ``like`` is taken as public.
        """
        request = self._request(n, asked)
        plan, rng = self._planned(request, random_state)
        rows = self._drawn(plan, rng)
        rows.attrs |= self._told(request, plan)
        return rows

    def sample_batches(
        self,
        n: int | None = None,
        *,
        batch_size: int = 100_000,
        random_state: int | None = None,
        **asked: Unpack[SampleOptions],
    ) -> Iterator[pd.DataFrame]:
        """Draw the same rows as `sample`, frame after frame of ``batch_size`` rows (the last may be short).

        The request is checked at once; rows are drawn as the iterator is advanced, and memory does not grow
        with ``n``. The other arguments, errors and privacy are those of `sample`.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ParameterError(f"expected batch_size >= 1, got {batch_size!r}")
        plan, rng = self._planned(self._request(n, asked), random_state)
        return in_batches(self._blocks(plan, rng), int(batch_size))

    def sample_to(
        self,
        path: str | Path,
        n: int | None = None,
        *,
        random_state: int | None = None,
        force: bool = False,
        in_spreadsheets: bool = False,
        jobs: int = 1,
        progress: Progress | None = None,
        **asked: Unpack[SampleOptions],
    ) -> int:
        """Write the same rows as `sample` to a CSV or Parquet file, block by block.

        Memory does not grow with ``n``. The file takes its place when it is whole: an error or Ctrl-C leaves
        nothing behind. A Parquet file keeps the ``attrs`` of the rows too.

        Args:
            path: A ``.csv``, ``.csv.gz`` or ``.parquet`` file.
            n: Number of rows, as for `sample`.
            random_state: Fixes the rows drawn.
            force: Replace an existing file.
            in_spreadsheets: In CSV files, keep texts from being taken for formulas: an apostrophe stands
                before those that begin with ``= + - @``, a tab, a carriage return or an apostrophe.
            jobs: How many processes draw, for many rows; they are the same whatever their number.
            progress: Called with a message, the rows written, and the rows planned.
            **asked: What is asked for, as for `sample`.

        Returns:
            The number of rows written.

        Raises:
            TableError: If the file cannot be written, or exists and ``force`` is not set.
            RequestError, UnsupportedRequestError: As `sample`.
            PrivsynthError: If a process that draws ends before its time.

        Privacy:
            As `sample`.
        """
        jobs, request = whole_number("jobs", jobs, least=1), self._request(n, asked)
        plan, rng = self._planned(request, random_state)
        types = every_label(self._of_rows)
        types.attrs |= self._told(request, plan)
        report = progress or (lambda message, done, total: None)
        total = self._expected_rows(plan)
        file = TableFile.like(path, types, self._of_rows.schema.time_formats, in_spreadsheets=in_spreadsheets)
        return write_drawn(
            self._drawing(plan),
            rng,
            {"": file},
            jobs=jobs,
            force=force,
            progress=lambda done: report("rows written", done, max(done, total)),
        )[""]

    def complete(
        self, frame: Table, *, n_next: int | None = None, random_state: int | None = None
    ) -> pd.DataFrame:
        """Fill in partial rows: each by the model's distribution given what it holds, exactly.

        Where the rows of a person belong together, the frame holds the rows of persons so far, and the rows
        that follow are drawn: the person column is kept, the order goes on, and so do constraints.

        Args:
            frame: Partial rows, taken as public: any source of a table; empty fields and absent columns are
                filled in. What is given is kept, as are a frame's index and columns that the model does not
                have.
            n_next: Of persons, how many rows of each follow; by default they go on to the last, which is
                drawn.
            random_state: Fixes what is drawn.

        Returns:
            Whole rows, of persons those that follow; ``attrs["not_covered"]`` says that the guarantee does
            not cover what was given.

        Raises:
            RequestError: If a column is named nearly like one of the model, a value is none of the column's,
                or persons cannot go on from the rows given.
            UnsupportedRequestError: If the model gives what a row holds no probability.

        Privacy:
            Post-processing of the model; the frame is taken as public.
        """
        model = self._fitted()
        if n_next is not None:
            n_next = whole_number("n_next", n_next, least=1)
        table, rng = read_table(frame, model.schema, is_real=False), self._rng(random_state)
        if isinstance(model, SequenceModel):
            rows = rows_that_follow(model, table, n_next, rng)
        elif n_next is not None:
            raise RequestError(
                "n_next asks for the rows of persons that follow, and the rows of this model stand alone; "
                "leave it out to fill them in"
            )
        else:
            rows = complete_rows(model, table, rng)
        rows.attrs["not_covered"] = [COMPLETED_NOT_COVERED]
        return rows

    def complete_to(
        self,
        path: str | Path,
        frame: Table,
        *,
        n_next: int | None = None,
        random_state: int | None = None,
        force: bool = False,
    ) -> int:
        """Write the same rows as `complete` to a CSV or Parquet file; return their number.

        Raises:
            TableError: If the file cannot be written, or exists and ``force`` is not set.
            RequestError, UnsupportedRequestError: As `complete`.

        Privacy:
            As `complete`.
        """
        rows = self.complete(frame, n_next=n_next, random_state=random_state)
        return write_blocks(
            iter([rows]),
            path,
            types=rows,
            force=force,
            progress=lambda done: None,
            time_formats=self._of_rows.schema.time_formats,
        )

    @property
    def _table(self) -> TableModel:
        """The model over which requests are planned: of rows, or of persons with their rows."""
        model = self._fitted()
        return model.persons if isinstance(model, SequenceModel) else model

    @property
    def _of_rows(self) -> TableModel:
        """The columns of the table, under its own schema."""
        model = self._fitted()
        return model.table if isinstance(model, SequenceModel) else model

    def _told(self, request: SampleRequest, plan: Plan) -> dict[str, Any]:
        persons = {"persons": plan.n_rows} if isinstance(self._fitted(), SequenceModel) else {}
        return persons | super()._told(request, plan)

    def _check_request(self, request: SampleRequest) -> None:
        model = self._fitted()
        if isinstance(model, SequenceModel):
            check_of_persons(model, request)

    def _expected_rows(self, plan: Plan) -> int:
        model = self._fitted()
        return expected_rows(model, plan.n_rows) if isinstance(model, SequenceModel) else plan.n_rows

    def _drawing(self, plan: Plan) -> Drawing:
        model = self._fitted()
        return histories_of(model, plan) if isinstance(model, SequenceModel) else rows_of(plan)

    def _blocks(self, plan: Plan, rng: np.random.Generator) -> Iterator[pd.DataFrame]:
        return (frames[""] for frames in frames_of(self._drawing(plan), rng))

    def _drawn(self, plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
        model = self._fitted()
        if not isinstance(model, SequenceModel):
            return draw_rows(plan, rng)
        return pd.concat(list(self._blocks(plan, rng)), ignore_index=True)
