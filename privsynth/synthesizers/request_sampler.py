"""What sampling of tables and of images shares: requests are read, planned and told the cost of."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, Unpack

import numpy as np
import pandas as pd

from privsynth.errors.seeds import random_generator
from privsynth.io.tables import is_unread_table, read_table
from privsynth.sampling.cost import rebalancing_cost
from privsynth.sampling.plan import Plan, make_plan, support_table
from privsynth.sampling.request import SampleOptions, SampleRequest
from privsynth.sampling.table_model import TableModel
from privsynth.synthesizers.contract import Fitted, Model


class RequestSampler(Fitted[Model], ABC):
    """Plans requests over the columns; what is drawn for them is left to tables and images.

    Privacy:
        Post-processing of the model; ``like`` is taken as public.
    """

    @property
    @abstractmethod
    def _table(self) -> TableModel:
        """The fitted model of the columns."""

    @property
    def _of_rows(self) -> TableModel:
        """The model of all columns that are drawn."""
        return self._table

    def support(self, n: int | None = None, **asked: Unpack[SampleOptions]) -> pd.DataFrame:
        """Say, before drawing, how many rows or images each cell of a request gets, and its real units.

        Takes what `sample` takes; ``on_unsupported`` changes nothing, since nothing is refused or dropped.

        Returns:
            One row per cell: the columns of the targets, ``requested`` rows, ``model_mass`` (probability
            under the model), ``units`` (that times the noisy number of units) and ``noise_std`` of the
            smallest measured table that covers the columns asked for (missing if none does), in units.

        Privacy:
            Post-processing.
        """
        return support_table(self._table, self._request(n, asked), np.random.default_rng(0))

    def lost_columns(self) -> list[str]:
        """Say of which columns the model knows no value of its own, or hardly any: a sentence each.

        Privacy:
            Post-processing.
        """
        return [*self._of_rows.not_found, *self._of_rows.mostly_other]

    def drawing(self, n: int | None = None, **asked: Unpack[SampleOptions]) -> dict[str, Any]:
        """Say what the rows of a request carry in their ``attrs``, without drawing them.

        Privacy:
            Post-processing.
        """
        request = self._request(n, asked)
        return self._told(request, self._looked_at(request))

    def rebalancing_cost(self, n: int | None = None, **asked: Unpack[SampleOptions]) -> dict[str, Any]:
        """Say how far a request moves the rows from the model; takes what `sample` takes.

        Cells without support are left out with ``on_unsupported="drop"``, and else looked at as they are.

        Returns:
            See `privsynth.sampling.cost.rebalancing_cost`.

        Privacy:
            Post-processing.
        """
        return rebalancing_cost(self._looked_at(self._request(n, asked)))

    def _request(self, n: int | None, asked: SampleOptions) -> SampleRequest:
        """Return what is asked for as a request; public tables in files, or not of pandas, are read."""
        tables: SampleOptions = {}
        schema = self._table.schema
        if is_unread_table(proportions := asked.get("proportions")):
            tables["proportions"] = read_table(proportions, schema, is_real=False)
        if is_unread_table(like := asked.get("like")):
            tables["like"] = read_table(like, schema, is_real=False)
        request = SampleRequest(n=n, **(asked | tables))
        self._check_request(request)
        return request

    def _told(self, request: SampleRequest, plan: Plan) -> dict[str, Any]:
        """Return what is told of how rows or images were drawn, JSON-able."""
        return row_attrs(request, plan)

    def _check_request(self, request: SampleRequest) -> None:
        """Raise a `RequestError` if it names columns that cannot be asked for."""

    def _looked_at(self, request: SampleRequest) -> Plan:
        only_look = request.on_unsupported != "drop"
        return make_plan(self._table, request, np.random.default_rng(0), only_look=only_look)

    def _planned(self, request: SampleRequest, random_state: int | None) -> tuple[Plan, np.random.Generator]:
        rng = self._rng(random_state)
        plan = make_plan(self._table, request, rng)
        for message in plan.warnings:
            warnings.warn(message, stacklevel=3)
        return plan, rng

    def _rng(self, random_state: int | None) -> np.random.Generator:
        return random_generator(self.random_state if random_state is None else random_state)


def row_attrs(request: SampleRequest, plan: Plan) -> dict[str, Any]:
    """Return what rows carry in their ``attrs``, JSON-able: what to know of how they were drawn.

    Privacy:
        Post-processing.
    """
    told: dict[str, Any] = {}
    if request.not_covered:
        told["not_covered"] = request.not_covered
    if request.has_targets:
        told["rebalancing_cost"] = rebalancing_cost(plan)
    if plan.left_out:
        told["left_out"] = plan.left_out
    return told
