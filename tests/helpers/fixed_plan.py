"""Two independent ways to compose a plan whose levels were fixed before the first read."""

from __future__ import annotations

import math
from collections.abc import Iterable

from privsynth.accounting.events import (
    Event,
    Exponential,
    Gaussian,
    SampledGaussian,
    ThresholdedGaussian,
)
from privsynth.accounting.gdp import exponential_mu


def compose_fixed_plan(events: Iterable[Event], delta: float) -> dict[str, float]:
    """Compose events whose levels were fixed before the first read, by PLD and by RDP.

    Returns:
        ``{"pld": epsilon, "rdp": epsilon, "epsilon": the smaller}`` at ``delta``; each is an upper bound.

    Privacy:
        Public. Not valid as a claim for levels that were chosen while looking at earlier releases.
    """
    from dp_accounting import DpEvent, GaussianDpEvent, PoissonSampledDpEvent, ZCDpEvent
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    pld, rdp, booked = PLDAccountant(), RdpAccountant(), 0.0
    for event in events:
        booked += event.delta if isinstance(event, ThresholdedGaussian) else 0.0
        if isinstance(event, Exponential):
            pld.compose(GaussianDpEvent(1.0 / exponential_mu(event.epsilon0)), event.count)
            rdp.compose(ZCDpEvent(event.epsilon0**2 / 8.0), event.count)
        else:
            assert isinstance(event, Gaussian | SampledGaussian)
            one: DpEvent = GaussianDpEvent(event.noise_multiplier)
            if isinstance(event, SampledGaussian):
                one = PoissonSampledDpEvent(event.sample_rate, one)
            pld.compose(one, event.count)
            rdp.compose(one, event.count)
    rest = delta - booked
    if rest <= 0:
        return {"pld": math.inf, "rdp": math.inf, "epsilon": math.inf}
    by_pld, by_rdp = float(pld.get_epsilon(rest)), float(rdp.get_epsilon(rest))
    return {"pld": by_pld, "rdp": by_rdp, "epsilon": min(by_pld, by_rdp)}
