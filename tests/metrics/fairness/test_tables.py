from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    equalized_odds_difference,
    selection_rate,
    true_positive_rate,
)
from scipy.stats import binom
from sdmetrics.single_table import EqualizedOddsImprovement
from sklearn.metrics import accuracy_score, roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep

from privsynth.metrics import fairness
from privsynth.metrics.common.estimates import percentile_interval
from privsynth.metrics.common.grouping import Grouping
from privsynth.metrics.common.scores import mean_of
from privsynth.metrics.common.tables import load_tables
from privsynth.metrics.fairness.group_models import (
    model_differences,
    model_rates,
    rates_of_models,
    replicate_rates,
)
from privsynth.metrics.fairness.privacy_effect import _score_entry, _share_entry, representation_slope
from privsynth.metrics.fairness.rates import Rates, _ratio, parity_difference
from privsynth.metrics.utility.downstream import predict_holdout, target_of, unit_bootstrap
from privsynth.schema import Schema


def group(found: dict[str, Any], **values: object) -> dict[str, Any]:
    return next(entry for entry in found["by_group"] if entry["group"] == values)


def test_shares_and_rates_of_eight_rows_worked_out_by_hand() -> None:
    schema = Schema(
        {
            "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
            "y": {"type": "boolean", "role": "target"},
        }
    )
    real = pd.DataFrame({"sex": list("FFFM") * 40, "y": [1, 0, 0, 1] * 40})
    synthetic = pd.DataFrame({"sex": list("FM") * 80, "y": [0, 1] * 80})
    found = fairness(real, synthetic, schema=schema)
    women = group(found, sex="F")
    assert (women["share"]["real"], women["share"]["synthetic"]) == (0.75, 0.5)
    assert women["share"]["gap"]["value"] == -0.25
    assert women["target_rate"]["real"] == pytest.approx(1 / 3)
    assert women["target_rate"]["gap"]["value"] == pytest.approx(-1 / 3)
    low, high = confint_proportions_2indep(80, 160, 120, 160, method="newcomb")
    assert women["share"]["gap"]["interval"] == pytest.approx([low, high])
    (by_sex,) = found["by_columns"]
    assert by_sex["label_parity_difference"]["value"] == 1.0
    assert by_sex["label_parity_difference"]["ceiling"] == pytest.approx(2 / 3)
    assert found["models_reason"].startswith("no holdout")
    json.dumps(found, allow_nan=False)


def test_a_planted_bias_has_its_sign(draw, schema: Schema) -> None:
    real, holdout = draw(4000, 0), draw(3000, 1)
    fewer_women = pd.concat([real[real["sex"] == "M"], real[real["sex"] == "F"][::2]], ignore_index=True)
    women_lose = real.assign(owner=real["owner"] & ((real["sex"] == "M") | (real.index % 2 == 0)))
    found = fairness(real, fewer_women, schema=schema, holdout=holdout, n_bootstrap=50)
    assert group(found, sex="F")["share"]["gap"]["interval"][1] < 0
    assert group(found, sex="M")["share"]["gap"]["interval"][0] > 0
    low, high = group(found, sex="F")["target_rate"]["gap"]["interval"]
    assert low < 0 < high

    found = fairness(real, women_lose, schema=schema, holdout=holdout, n_bootstrap=50)
    assert group(found, sex="F")["target_rate"]["gap"]["interval"][1] < 0
    (by_sex,) = found["by_columns"]
    assert by_sex["demographic_parity_difference"]["excess"]["interval"][0] > 0
    women = group(found, sex="F")["models"]
    assert women["synthetic"]["selection_rate"] < women["real"]["selection_rate"] - 0.1


def test_a_fresh_sample_shows_no_gap(draw, schema: Schema) -> None:
    found = fairness(draw(3000, 0), draw(3000, 5), schema=schema, groups=["sex", "region", "age"])
    gaps = [entry["share"]["gap"] for entry in found["by_group"]]
    assert len(gaps) > 20
    assert all(
        abs(gap["value"]) < 5.2 * max(np.abs(np.array(gap["interval"]) - gap["value"])) / 1.96 for gap in gaps
    )  # 5.2 standard errors: 2e-7 each


def test_family_intervals_of_many_groups_hold_together() -> None:
    schema = Schema(
        {"town": {"type": "categorical", "categories": [str(i) for i in range(30)], "role": "group"}}
    )
    generator, n_runs, missed = np.random.default_rng(5), 100, {"interval": 0, "family_interval": 0}
    for _ in range(n_runs):
        real, fresh = (pd.DataFrame({"town": generator.integers(0, 30, 600).astype(str)}) for _ in range(2))
        gaps = [entry["share"]["gap"] for entry in fairness(real, fresh, schema=schema)["by_group"]]
        for name in missed:
            missed[name] += any(gap[name][0] > 0 or gap[name][1] < 0 for gap in gaps)
    assert missed["family_interval"] <= binom.ppf(1 - 1e-6, n_runs, 0.025)
    assert missed["interval"] >= binom.ppf(1e-6, n_runs, 0.7)  # each by itself: three in four would be wrong


def test_differences_are_those_of_fairlearn(draw, schema: Schema) -> None:
    tables = load_tables(draw(800, 0), draw(800, 1), schema=schema, holdout=draw(900, 2), groups=["region"])
    predictions = predict_holdout(tables, target_of(tables))
    grouping = Grouping.of(tables, ["region"])
    draws = unit_bootstrap(predictions.units, 20, np.random.default_rng(0))
    replicates = replicate_rates(predictions, grouping, draws)
    frames = rates_of_models(predictions, grouping)
    found = model_differences(frames, replicates)
    selected = predictions.of["hist_gradient_boosting", "synthetic"][:, 1] >= 0.5
    theirs = {
        "y_true": predictions.labels,
        "y_pred": selected,
        "sensitive_features": predictions.rows["region"],
    }
    assert found["demographic_parity_difference"]["value"] == pytest.approx(
        demographic_parity_difference(**theirs)
    )
    assert found["equalized_odds_difference"]["value"] == pytest.approx(equalized_odds_difference(**theirs))
    groups = model_rates(predictions, grouping, frames, replicates)
    metrics = {
        "accuracy": accuracy_score,
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
    }
    frame = MetricFrame(metrics=metrics, **theirs)
    for entry, group in zip(groups, grouping.groups, strict=True):
        for rate in metrics:
            expected = frame.by_group.loc[group["region"], rate]
            assert entry["synthetic"][rate] == pytest.approx(expected)
            # the bootstrap computes its rates by itself
            i = grouping.groups.index(group)
            assert replicates["synthetic", rate][i, 0] == pytest.approx(expected)
        inside = (predictions.rows["region"] == group["region"]).to_numpy()
        scores = predictions.of["hist_gradient_boosting", "synthetic"][inside, 1]
        assert entry["synthetic"]["auc"] == pytest.approx(roc_auc_score(predictions.labels[inside], scores))


def test_groups_too_small_to_say_carry_null_and_the_reason(draw, schema: Schema) -> None:
    real = draw(500, 0)
    real = pd.concat([real[real["sex"] == "M"], real[real["sex"] == "F"][:7]], ignore_index=True)
    found = fairness(real, real, schema=schema, holdout=draw(300, 1)[:25], n_bootstrap=10)
    women = group(found, sex="F")
    assert women["target_rate"]["real"] is None
    assert women["target_rate"]["reason"] == "fewer than 20 real units in this group"
    assert "10 of each class" in women["models"]["reason"]
    (by_sex,) = found["by_columns"]
    assert by_sex["label_parity_difference"]["value"] is None
    assert "fewer than two groups" in by_sex["equalized_odds_difference"]["reason"]
    json.dumps(found, allow_nan=False)


def test_intersections_and_missing_groups_are_listed(draw, schema: Schema) -> None:
    schema = Schema(
        {
            "a": {"type": "categorical", "categories": ["x", "y"], "role": "group", "missing": True},
            "b": {"type": "boolean", "role": "group"},
            "c": {"type": "integer", "low": 0, "high": 9},
        }
    )
    table = pd.DataFrame({"a": ["x", None] * 30, "b": [True, True, False] * 20, "c": range(60)}).assign(c=1)
    found = fairness(table, table[table["b"]], schema=schema)
    assert [entry["columns"] for entry in found["by_columns"]] == [["a"], ["b"], ["a", "b"]]
    assert group(found, a=None)["share"]["real"] == 0.5
    assert group(found, b=False)["share"]["synthetic"] == 0.0
    assert len([entry for entry in found["by_group"] if len(entry["group"]) == 2]) == 4
    assert "target_rate" not in group(found, a="x")
    assert found["target_reason"].startswith("no target")


def test_a_number_that_names_groups_is_cut_at_quartiles(draw, schema: Schema) -> None:
    found = fairness(draw(2000, 0), draw(2000, 1), schema=schema, groups=["age"])
    assert len(found["by_group"]) == 4
    assert found["by_group"][0]["group"]["age"].startswith("< ")
    assert all(0.2 < entry["share"]["real"] < 0.3 for entry in found["by_group"])


def test_persons_are_counted_and_weighed_once(draw, person_schema: Schema) -> None:
    rows = draw(100, 0).assign(pid=range(100), sex=["F"] * 50 + ["M"] * 50)
    repeated = pd.concat([rows, *[rows[:50]] * 3], ignore_index=True)
    found = fairness(repeated, rows, schema=person_schema)
    assert group(found, sex="F")["share"]["real"] == pytest.approx(0.5)
    assert group(found, sex="F")["n_real"] == 50
    once = fairness(rows, rows, schema=person_schema)
    for what in ("share", "target_rate"):  # repeating a person's rows makes nothing more certain
        expected = group(once, sex="F")[what]["gap"]["interval"]
        assert group(found, sex="F")[what]["gap"]["interval"] == pytest.approx(expected)


def test_without_groups_it_is_not_assessed(draw, schema: Schema) -> None:
    found = fairness(draw(30, 0), draw(30, 1), schema=schema, groups=[])
    assert found["status"] == "not_assessed"
    assert "no group columns" in found["reason"]


def test_improvement_is_that_of_sdmetrics_with_our_classifier(
    draw, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, synthetic, holdout = draw(900, 0), draw(900, 1), draw(1200, 2)
    synthetic.loc[(synthetic["sex"] == "F") & (synthetic.index % 10 > 0), "owner"] = False
    tables = load_tables(real, synthetic, schema=schema, holdout=holdout)
    predictions = predict_holdout(tables, target_of(tables), families=["hist_gradient_boosting"])
    grouping = Grouping.of(tables, ["sex"])
    draws = unit_bootstrap(predictions.units, 2, np.random.default_rng(0))
    frames = rates_of_models(predictions, grouping)
    found = model_rates(predictions, grouping, frames, replicate_rates(predictions, grouping, draws))

    answers = iter(["real", "synthetic"])

    class Trained:
        def __init__(self) -> None:
            self.source = next(answers)

        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return (predictions.of["hist_gradient_boosting", self.source][:, 1] >= 0.5).astype(int)

    monkeypatch.setattr(EqualizedOddsImprovement, "_train_classifier", lambda *_: Trained())
    columns = {name: {"sdtype": "categorical"} for name in ("sex", "owner", "region")}
    theirs = EqualizedOddsImprovement.compute(
        *(table[["sex", "owner", "region"]].reset_index(drop=True) for table in (real, synthetic, holdout)),
        metadata={"tables": {"t": {"columns": columns}}},
        table_name="t",
        prediction_column_name="owner",
        positive_class_label=True,
        sensitive_column_name="sex",
        sensitive_column_value="F",
    )
    women = found[[g["sex"] for g in grouping.groups].index("F")]
    assert women["synthetic"]["equalized_odds_improvement"] == pytest.approx(theirs)
    assert theirs < 0.5  # women are hardly ever selected: odds have become less equal
    assert women["real"]["equalized_odds_improvement"] == 0.5


def test_replace_augment_and_balance_stand_beside_each_other(draw, schema: Schema) -> None:
    real, holdout = draw(1500, 0), draw(1500, 1)
    women_lose = real.assign(owner=real["owner"] & (real["sex"] == "M"))
    found = fairness(real, women_lose, schema=schema, holdout=holdout, n_bootstrap=30)
    (by_sex,) = found["by_columns"]
    parity = by_sex["demographic_parity_difference"]
    assert parity["ceiling"] < parity["augmented"]["value"] < parity["value"]
    women = group(found, sex="F")["models"]
    assert women["gaps"]["accuracy"]["interval"][1] < 0
    assert women["synthetic"]["accuracy"] < women["augmented"]["accuracy"] <= women["real"]["accuracy"] + 0.03
    assert group(found, sex="M")["models"]["gaps"]["accuracy"]["value"] > -0.05
    assert "percentile bootstraps" in found["intervals"]


def test_pairs_of_three_group_columns_are_listed(draw, schema: Schema) -> None:
    found = fairness(draw(300, 0), draw(300, 1), schema=schema, groups=["sex", "region", "age"])
    sizes = [len(entry["columns"]) for entry in found["by_columns"]]
    assert sizes == [1, 1, 1, 2, 2, 2, 3]


# -- the effect of privacy -----------------------------------------------------------------------------


def test_slopes_of_levelled_and_sharpened_shares_worked_out_by_hand() -> None:
    real = np.array([0.8, 0.2])
    assert representation_slope(real, real) == 0.0
    # ln(.5/.8), ln(.5/.2) over ln .8, ln .2: rises by ln 4 as the other falls by ln 4
    assert representation_slope(real, np.array([0.5, 0.5])) == pytest.approx(-1.0)
    # .9/.8 and .1/.2: ln 2.25 / ln 4
    assert representation_slope(real, np.array([0.9, 0.1])) == pytest.approx(np.log(2.25) / np.log(4))
    assert representation_slope(real, np.array([1.0, 0.0])) is None


def test_the_group_that_pays_for_privacy_is_named(draw, schema: Schema) -> None:
    real, without, holdout, synthetic = draw(3000, 0), draw(3000, 3), draw(3000, 1), draw(3000, 2)
    women = synthetic["sex"] == "F"
    generator = np.random.default_rng(0)
    synthetic.loc[women, "owner"] = generator.random(women.sum()) < 0.5
    synthetic = pd.concat([synthetic[~women], synthetic[women][::2]], ignore_index=True)
    found = fairness(real, synthetic, schema=schema, holdout=holdout, non_private=without, n_bootstrap=50)
    effect = found["privacy_effect"]
    by_sex = {entry["group"]["sex"]: entry for entry in effect["by_group"]}
    assert by_sex["F"]["share"]["cost"]["interval"][1] < 0
    assert by_sex["M"]["share"]["cost"]["interval"][0] > 0
    assert by_sex["F"]["tv_2way"]["ratio"] > 1.3
    assert by_sex["M"]["tv_2way"]["ratio"] == pytest.approx(1.0, abs=0.2)
    assert by_sex["F"]["accuracy"]["cost"]["interval"][0] > 0
    assert effect["pays_most"] == [{"sex": "F"}]
    for cost in (
        entry[kind]["cost"] for entry in effect["by_group"] for kind in ("share", "accuracy", "auc")
    ):
        (low, high), (least, most) = cost["interval"], cost["family_interval"]
        assert least < low < cost["value"] < high < most
    json.dumps(found, allow_nan=False)
    without = fairness(real, synthetic, schema=schema)["privacy_effect"]
    assert "no fit without privacy" in without["reason"]


def test_several_twins_are_averaged_and_their_spread_is_covered(draw, schema: Schema) -> None:
    real, holdout, synthetic = draw(1500, 0), draw(1500, 1), draw(1500, 2)
    fewer = draw(1500, 4)
    non_private = [
        draw(1500, 3),
        fewer[(fewer["sex"] == "M") | (np.arange(1500) % 3 > 0)].reset_index(drop=True),
    ]
    found = fairness(real, synthetic, schema=schema, holdout=holdout, non_private=non_private, n_bootstrap=30)
    alone = [
        fairness(real, synthetic, schema=schema, holdout=holdout, non_private=without, n_bootstrap=30)
        for without in non_private
    ]
    women = [
        next(g for g in section["privacy_effect"]["by_group"] if g["group"] == {"sex": "F"})
        for section in (found, *alone)
    ]
    assert (found["privacy_effect"]["n_twins"], alone[0]["privacy_effect"]["n_twins"]) == (2, 1)
    for kind in ("share", "accuracy", "auc", "tv_2way"):
        both, first, second = (entry[kind] for entry in women)
        assert both["twin"] == pytest.approx((first["twin"] + second["twin"]) / 2)
        half = 12.7062 * abs(first["twin"] - second["twin"]) / 2  # Student's t with one degree of freedom
        assert both["twin_interval"] == pytest.approx([both["twin"] - half, both["twin"] + half], abs=1e-4)
        assert first["twin_interval"] is None
        if kind != "tv_2way":
            low, high = both["cost"]["interval"]
            assert low <= both["cost"]["value"] - half
            assert high >= both["cost"]["value"] + half
    json.dumps(found, allow_nan=False)


# -- what intervals cover ------------------------------------------------------------------------------


def test_units_behind_a_share_are_persons_not_rows() -> None:
    units = np.repeat(np.arange(50), 4)
    values = np.repeat(np.arange(50) % 2, 4).astype(float)
    share, n_units = _ratio(values, np.full(200, 0.25), units)
    assert (share, n_units) == (0.5, pytest.approx(50))
    alone = _ratio(values, np.ones(200), np.arange(200))
    assert alone == (0.5, pytest.approx(200))
    none = _ratio(np.zeros(200), np.full(200, 0.25), units)
    assert none == (0.0, pytest.approx(50))


@pytest.mark.parametrize(("n_twins", "at_least", "at_most"), [(4, 0.93, 0.995), (1, 0.0, 0.75)])
def test_intervals_of_privacys_effect_cover_other_fits_only_with_several_twins(
    n_twins: int, at_least: float, at_most: float
) -> None:
    # Shares of twins vary from fit to fit by 0.04, beside the drawing of 4,000 rows of each.
    generator = np.random.default_rng(2)
    n, n_runs, p_twin, p_private, covered = 4000, 400, 0.3, 0.2, 0
    for _ in range(n_runs):
        fits = np.clip(generator.normal(p_twin, 0.04, n_twins), 0.01, 0.99)
        non_private = [(np.array([generator.binomial(n, p) / n]), np.array([n])) for p in fits]
        synthetic = (np.array([generator.binomial(n, p_private) / n]), np.array([n]))
        low, high = _share_entry(synthetic, synthetic, non_private, 0, 0.99)["cost"]["interval"]
        covered += low <= p_private - p_twin <= high
    assert binom.ppf(5e-7, n_runs, at_least) <= covered <= binom.ppf(1 - 5e-7, n_runs, at_most)


def test_the_interval_of_the_largest_difference_covers_a_group_with_hardly_a_positive_row() -> None:
    # One row in twenty of a group of 33, beside half of 2,000: every sixth table has none of the former.
    generator, nothing = np.random.default_rng(3), np.full(2, np.nan)
    n_known, truth, n_runs = np.array([2000, 33]), np.array([0.5, 0.05]), 400
    real = Rates(
        share=nothing, share_units=nothing, target_rate=truth, target_rate_units=nothing, n_known=n_known
    )
    limits = []
    for _ in range(n_runs):
        drawn = replace(real, target_rate=generator.binomial(n_known, truth) / n_known)
        found = parity_difference(real, drawn, np.array([True, True]), generator)
        assert found["interval"][0] <= found["value"] <= found["interval"][1]
        limits.append(found["interval"])
    covered = sum(low <= np.ptp(truth) <= high for low, high in limits)
    assert covered >= binom.ppf(1e-6, n_runs, 0.95)
    assert np.median(np.ptp(limits, axis=1)) < 0.2  # and they say something


def test_bootstrapped_gaps_of_a_small_group_cover_about_what_they_say() -> None:
    # A group of 30 holdout rows of which two fixed models select a known share, the same draws for both.
    generator = np.random.default_rng(1)
    n, n_runs, truth, covered = 30, 400, 0.5 - 0.3, 0
    for _ in range(n_runs):
        u = generator.random(n)
        a, b = u < 0.3, u < 0.5  # dependent, as two models on the same rows are
        draws = unit_bootstrap(np.arange(n), 200, generator)
        gaps = mean_of(b.astype(float), draws) - mean_of(a.astype(float), draws)
        low, high = percentile_interval(gaps)
        covered += low <= truth <= high
    low, high = binom.ppf([5e-7, 1 - 5e-7], n_runs, 0.93)  # 30 units: a point or two below 95 %
    assert low <= covered <= high


def test_no_group_of_many_is_said_to_pay_by_chance_and_one_that_pays_is() -> None:
    # Hits of a twin's model minus hits of the private one on the same 60 units, in each of 20 groups.
    generator = np.random.default_rng(7)
    n, n_groups, n_runs, family = 60, 20, 60, 1 - 0.05 / 3 / 20
    named = {"interval": 0, "family_interval": 0}

    def cost(chances: list[float]) -> dict[str, list[float]]:
        difference = generator.choice([-1.0, 0.0, 1.0], size=n, p=chances)
        draws = np.vstack([np.ones(n), generator.multinomial(n, np.full(n, 1 / n), size=200)])
        without = {"accuracy": (draws @ difference / n)[None]}
        private = {(side, "accuracy"): np.zeros((1, len(draws))) for side in ("real", "synthetic")}
        return _score_entry(private, [without], "accuracy", 0, family)["cost"]

    for _ in range(n_runs):
        costs = [cost([0.1, 0.8, 0.1]) for _ in range(n_groups)]
        for name in named:
            named[name] += any(found[name][0] > 0 for found in costs)
    assert named["family_interval"] <= binom.ppf(1 - 1e-6, n_runs, 0.05 / 3)
    assert named["interval"] >= binom.ppf(1e-6, n_runs, 0.35)  # each by itself
    assert cost([0.0, 0.6, 0.4])["family_interval"][0] > 0.1
