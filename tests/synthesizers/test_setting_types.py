"""Settings of another type than they are declared are refused before a record is read, or a model is used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from privsynth.errors import ParameterError
from privsynth.models.tables.fitting import FitOptions
from privsynth.synthesizers import (
    DPGANSettings,
    ImageGANSettings,
    LinkedSettings,
    MarginalSettings,
    MarginalSynthesizer,
)
from privsynth.synthesizers.setting_types import check_setting_types
from tests.contracts.synthesizers import QUICK_SETTINGS
from tests.helpers.tables import PATIENTS, patients


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (MarginalSettings(n_rounds="3"), "n_rounds of MarginalSettings to be int, got '3'"),
        (MarginalSettings(n_rounds=2.5), "n_rounds of MarginalSettings to be int, got 2.5"),
        (MarginalSettings(fit={"n_components": 8}), "fit of MarginalSettings to be FitOptions"),
        (
            MarginalSettings(fit=replace(FitOptions(), n_components=None)),
            "n_components of FitOptions to be int",
        ),
        (LinkedSettings(shares={"client": "half"}), "shares of LinkedSettings"),
        (DPGANSettings(gan=replace(DPGANSettings().gan, hidden=(8, "8"))), "hidden of GanOptions"),
    ],
)
def test_another_type_is_refused_and_named(settings, said):
    with pytest.raises(ParameterError, match=said):
        check_setting_types(settings)


@pytest.mark.parametrize(
    "settings", [*QUICK_SETTINGS.values(), ImageGANSettings(), LinkedSettings()], ids=str
)
def test_settings_of_their_types_are_taken(settings):
    check_setting_types(settings)


def test_numbers_of_numpy_are_numbers():
    check_setting_types(MarginalSettings(n_rounds=np.int64(3)))


def test_a_fit_refuses_them_before_it_pays(tmp_path):
    ledger = tmp_path / "ledger.sqlite"
    synthesizer = MarginalSynthesizer(epsilon=1.0, settings=MarginalSettings(n_rounds="3"))
    with pytest.raises(ParameterError, match="n_rounds"):
        synthesizer.fit(patients(50), schema=PATIENTS, ledger=ledger)
    assert not ledger.exists()
