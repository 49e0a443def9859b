"""Public tables to learn and demonstrate with."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from privsynth.errors import PrivsynthError
from privsynth.schema import Schema

_RAND_FILE = "datasets/randhie/src/randhie.csv"
_SITES = {
    1: "Dayton",
    2: "Seattle",
    3: "Fitchburg",
    4: "Franklin County",
    5: "Charleston",
    6: "Georgetown County",
}
_DEDUCTIBLE = "individual deductible"
_PLANS = {0: "free care", 25: "25% coinsurance", 50: "50% coinsurance", 95: "95% coinsurance"}

# Declared from the public design of the experiment and from round figures, not read off the records: families
# with members under 62 at enrolment, followed for three or five years, each dollar amount well above what a
# household of the 1970s earned or spent on visits and drugs in a year, health indices scored 0 to 100.
_RAND_COLUMNS: dict[str, dict[str, Any]] = {
    "zper": {"type": "id", "role": "person_id"},
    "site": {"type": "categorical", "categories": list(_SITES.values())},
    "plan": {"type": "categorical", "categories": [*_PLANS.values(), _DEDUCTIBLE]},
    "year": {"type": "integer", "low": 1, "high": 5},
    "sex": {"type": "categorical", "categories": ["Female", "Male"], "role": "group"},
    "race": {"type": "categorical", "categories": ["Black", "Other"], "missing": True, "role": "group"},
    "age": {"type": "integer", "low": 0, "high": 70},
    "income": {"type": "integer", "low": 0, "high": 40_000},
    "education": {"type": "integer", "low": 0, "high": 30, "missing": True},
    "general_health": {"type": "real", "low": 0, "high": 100, "decimals": 1, "missing": True},
    "mental_health": {"type": "real", "low": 0, "high": 100, "decimals": 1},
    "chronic_diseases": {"type": "real", "low": 0, "high": 100, "decimals": 1},
    "physical_limitation": {"type": "boolean", "missing": True},
    "doctor_visits": {"type": "integer", "low": 0, "high": 100},
    "outpatient_spending": {"type": "real", "low": 0, "high": 10_000, "decimals": 2},
    "drug_spending": {"type": "real", "low": 0, "high": 5_000, "decimals": 2},
    "hospital_admission": {"type": "boolean", "role": "target"},
}
_RAND_YEARS = 5  # nobody took part for longer
_RAND_ORDER = "year"
_RAND_SHARED = (  # by assignment to a plan, at enrolment, or of the person
    "site",
    "plan",
    "sex",
    "race",
    "income",
    "education",
    "general_health",
    "mental_health",
    "chronic_diseases",
    "physical_limitation",
)


def load_rand_hie(*, sequences: bool = False) -> tuple[pd.DataFrame, Schema]:
    """Load the RAND Health Insurance Experiment: 20,190 years of 5,912 persons, 1974 to 1982, and its schema.

    Families were assigned by chance to insurance plans that left them different shares of their medical
    bills. Each row is one person's year: who they are, their health at enrolment, and the care they used.

    Columns (in brackets those of the source): ``zper`` the person; ``site``; ``plan`` (``coins``, ``idp``);
    ``year`` of participation; ``sex`` (``female``); ``race`` of the head of the household (``black``);
    ``age`` in completed years (``xage``); ``income`` of the family in dollars; ``education`` of the decision
    maker in years (``educdec``); at enrolment, indices of ``general_health`` (``ghindx``), ``mental_health``
    (``mhi``) and ``chronic_diseases`` (``disea``), and whether there was a ``physical_limitation``
    (``physlm``); ``doctor_visits`` (``mdvis``); ``outpatient_spending`` (``outpdol``) and ``drug_spending``
    (``drugdol``) in dollars; and the target, derived here: ``hospital_admission``, whether the person was
    admitted at least once in the year (``totadm`` above 0).

    Race and physical limitation hold fractions in the source where they were imputed; those are set back to
    missing. Other numbers are rounded to the schema's decimals.

    Args:
        sequences: Whether the schema says that a person's years belong together: what they share, that
            ``year`` orders them, and that nobody grows younger. Persons are then drawn with all their years,
            and requests are of persons. Without it each synthetic row is one year of somebody, and requests
            may name any column.

    Returns:
        The table, and a schema whose categories and bounds are declared public.

    Raises:
        PrivsynthError: If statsmodels, whose package holds the table, is not installed.

    Privacy:
        Public: the table is in the public domain.

    References:
        Newhouse, "Free for All? Lessons from the RAND Health Insurance Experiment", 1993.
        Cameron and Trivedi, "Microeconometrics", 2005, section 16.6 (this extract).
    """
    try:
        source = files("statsmodels") / _RAND_FILE
        with source.open("rb") as file:
            raw = pd.read_csv(file)
    except (ModuleNotFoundError, FileNotFoundError):
        raise PrivsynthError(
            "the RAND table comes with the statsmodels package, which is not installed in full; "
            'install it with pip install "privsynth[demo]"'
        ) from None
    plan = raw["coins"].map(_PLANS).where(raw["idp"] == 0, _DEDUCTIBLE)
    black, limited = raw["black"], raw["physlm"]
    columns = {
        "zper": raw["zper"],
        "site": raw["site"].map(_SITES),
        "plan": plan,
        "year": raw["year"],
        "sex": raw["female"].map({1: "Female", 0: "Male"}),
        "race": black.map({1.0: "Black", 0.0: "Other"}),
        "age": np.floor(raw["xage"]).astype("int64"),
        "income": raw["income"].round().astype("int64"),
        "education": raw["educdec"].round().astype("Int64"),
        "general_health": raw["ghindx"].round(1),
        "mental_health": raw["mhi"].round(1),
        "chronic_diseases": raw["disea"].round(1),
        "physical_limitation": limited.where(limited.isin([0.0, 1.0])).astype("boolean"),
        "doctor_visits": raw["mdvis"],
        "outpatient_spending": raw["outpdol"].round(2),
        "drug_spending": raw["drugdol"].round(2),
        "hospital_admission": raw["totadm"] > 0,
    }
    return pd.DataFrame(columns), _rand_schema(sequences=sequences)


def _rand_schema(*, sequences: bool) -> Schema:
    columns = {name: dict(fields) for name, fields in _RAND_COLUMNS.items()}
    constraints = [{"kind": "inequality", "columns": ["prev.age", "age"]}] if sequences else []
    if sequences:
        columns[_RAND_ORDER]["role"] = "order"
        for name in _RAND_SHARED:
            columns[name]["per"] = "person"
    return Schema(columns, max_records_per_person=_RAND_YEARS, constraints=constraints)
