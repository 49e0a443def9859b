"""Networks and their running averages as arrays by name: what goes in comes out, and averages by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from privsynth.models.state import module_arrays, restore_module, running_average


def test_weights_and_buffers_come_back_into_another_network():
    first, second = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    first(torch.rand(4, 3, generator=torch.Generator().manual_seed(0)))
    restore_module("a", second, module_arrays("a", first))
    for ours, theirs in zip(second.state_dict().values(), first.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_arrays_of_another_network_are_refused():
    arrays = module_arrays("a", nn.Linear(2, 3))
    with pytest.raises(ValueError, match="the arrays 'a' are those of another network"):
        restore_module("a", nn.Linear(2, 4), arrays)
    with pytest.raises(KeyError):
        restore_module("b", nn.Linear(2, 3), arrays)


def test_a_running_average_weighs_the_first_alike_and_then_decays():
    network = nn.Linear(1, 1, bias=False)
    values = [0.0, 3.0, 6.0, 1.0, 8.0]

    def now(value: float) -> nn.Module:
        with torch.no_grad():
            network.weight.fill_(value)
        return network

    average = running_average(now(7.0), decay=0.75)
    assert average.module.weight.item() == 7.0  # where it starts, which counts for nothing
    expected = 0.0
    for n, value in enumerate(values, 1):
        average.update_parameters(now(value))
        expected = sum(values[:n]) / n if n <= 4 else 0.75 * expected + 0.25 * value
        assert average.module.weight.item() == pytest.approx(expected)
    again = running_average(now(0.0), decay=0.75)
    restore_module("average", again, module_arrays("average", average))
    for mean in (average, again):
        mean.update_parameters(now(5.0))
        assert mean.module.weight.item() == pytest.approx(0.75 * expected + 0.25 * 5.0)
    assert not average.module.weight.requires_grad
