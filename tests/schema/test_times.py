"""Dates, times and durations: the clock on the wall counts, in whatever format a table writes it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import privsynth
from privsynth.errors import RequestError, SchemaError
from privsynth.records.coerce import conform_column
from privsynth.schema import PRIVATE, Column, Schema
from privsynth.schema.times import TimeFormat, read_duration

YEAR = {"type": "datetime", "low": "2022-01-01", "high": "2022-12-31"}
FREE = {"type": "datetime", "missing": True, "resolution": "second"}


def steps(raw: Any, **fields: Any) -> list[float | None]:
    """Read a column that breaks no rule; datetimes in steps since 1970."""
    column = Column(name="x", **fields)
    raw = raw if isinstance(raw, pd.Series) else pd.Series(raw, dtype=object)
    values, broken = conform_column(raw, column)
    assert broken == []
    return [None if np.isnan(value) else value for value in values]


def day(text: str) -> float:
    return float((dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Auckland", "America/Lima", "UTC"])
def test_every_midnight_of_a_year_stays_on_its_day_and_in_the_bounds(zone: str) -> None:
    midnights = pd.Series(pd.date_range("2022-01-01", "2022-12-31", tz=zone))
    expected = [day("2022-01-01") + i for i in range(365)]
    assert steps(midnights, **YEAR) == expected
    assert steps(midnights.astype(object), **YEAR) == expected
    assert steps(midnights.astype(str), **YEAR) == expected
    assert steps(midnights.dt.tz_localize(None), **YEAR) == expected


def test_a_declared_zone_moves_times_that_tell_theirs_and_no_others() -> None:
    berlin = {**FREE, "zone": "Europe/Berlin"}
    aware = pd.Timestamp("2022-06-30T22:30:00Z")
    noon = (dt.datetime(2022, 7, 1, 0, 30) - dt.datetime(1970, 1, 1)).total_seconds()
    raw = [
        aware,
        aware.to_pydatetime(),
        "2022-06-30T22:30Z",
        "2022-07-01T00:30",
        dt.datetime(2022, 7, 1, 0, 30),
    ]
    assert steps(raw, **berlin) == [noon] * 5
    assert steps(pd.Series([aware]), **berlin) == [noon]
    assert steps(pd.Series([aware]).dt.tz_convert("Asia/Tokyo"), **berlin) == [noon]
    assert steps([aware], **FREE) == [noon - 2 * 3600]  # what the clock in UTC showed


def test_a_format_reads_its_own_way_of_writing_and_iso_beside_it() -> None:
    written = {**FREE, "resolution": "day", "format": "%d/%m/%Y"}
    raw = ["31/12/2020", " 01/02/2021", "2021-02-01", dt.date(2021, 2, 1), pd.Timestamp("2021-02-01"), ""]
    assert steps(raw, **written) == [day("2020-12-31"), *[day("2021-02-01")] * 4, None]
    months = {**FREE, "resolution": "day", "format": "%d %b %Y", "missing_values": ["n/a", "01 Jan 1900"]}
    assert steps(["03 Feb 2021", "n/a", "01 Jan 1900"], **months) == [day("2021-02-03"), None, None]
    swapped = {**FREE, "resolution": "day", "format": "%Y-%d-%m"}  # a date object is no text in that format
    assert steps(["2021-02-03", dt.date(2021, 3, 2)], **swapped) == [day("2021-03-02")] * 2


@given(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1)).map(lambda t: t.replace(microsecond=0)))
def test_what_a_format_writes_it_reads_back(moment: dt.datetime) -> None:
    written = TimeFormat("%d.%m.%Y %H:%M:%S")
    texts = written.write(pd.Series([moment, None, moment]).astype("datetime64[s]"))
    assert texts.isna().tolist() == [False, True, False]
    assert written.read(texts[0]) == written.read(texts[2]) == moment


def test_other_ways_to_write_a_date_are_told_of_by_the_message() -> None:
    _, broken = conform_column(pd.Series(["24/12/2021"]), Column(name="x", **FREE))
    assert len(broken) == 1
    assert "'format', as in \"%d/%m/%Y\"" in broken[0]
    _, broken = conform_column(pd.Series(["2021.24.12"]), Column(name="x", **FREE, format="%d/%m/%Y"))
    assert broken == ["a field is not a date or time as in '%d/%m/%Y', its 'format', or in ISO-8601"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "dd/mm/yyyy"}, "'format' of a datetime column is one of Python's strptime"),
        ({"format": "%Q"}, "'format' of a datetime column is one of Python's strptime"),
        ({"format": 7}, "'format' of a datetime column is one of Python's strptime"),
        ({"zone": "Berlin"}, "'zone' is the IANA name of a time zone"),
        ({"zone": 1}, "'zone' is the IANA name of a time zone"),
    ],
)
def test_formats_and_zones_that_mean_nothing_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema({"x": {**YEAR, **fields}})


def test_format_zone_and_unit_survive_json_and_are_public_facts() -> None:
    schema = Schema(
        {
            "x": {**YEAR, "format": "%d/%m/%Y", "zone": "Europe/Berlin"},
            "stay": {"type": "real", "low": 0, "high": 90, "unit": "day"},
        }
    )
    assert Schema.from_dict(schema.to_dict()) == schema
    assert "format %d/%m/%Y, zone Europe/Berlin" in schema.public_facts()[0]
    assert "unit day" in schema.public_facts()[1]
    with pytest.raises(SchemaError, match="expected a unit among day, hour, minute, second, got 'week'"):
        Schema({"stay": {"type": "real", "low": 0, "high": 90, "unit": "week"}})


def test_a_time_of_day_is_a_datetime_without_a_date() -> None:
    clock = {
        "type": "datetime",
        "low": "08:00",
        "high": dt.time(18),
        "format": "%H:%M",
        "resolution": "minute",
    }
    first = steps(["08:00"], **clock)[0]
    assert first is not None
    assert steps(["09:30", dt.time(9, 30), "08:00"], **clock) == [first + 90, first + 90, first]
    assert Column(name="x", **clock).bounds == (first, first + 600)
    private = Column(name="x", type="categorical", categories=PRIVATE)
    values, broken = conform_column(pd.Series([dt.time(9, 30), dt.time(8)], dtype=object), private)
    assert broken == []
    assert values.tolist() == ["09:30:00", "08:00:00"]


def test_durations_are_numbers_in_a_stated_unit() -> None:
    stay = pd.Series(pd.to_timedelta([36, None, -12], unit="h"))
    days = {"type": "real", "low": -9, "high": 9, "unit": "day", "missing": True}
    assert steps(stay, **days) == [1.5, None, -0.5]
    assert steps(stay.astype(object), **days) == [1.5, None, -0.5]
    assert steps(stay.astype(str).replace("NaT", ""), **days) == [1.5, None, -0.5]
    assert steps([dt.timedelta(1), np.timedelta64(1, "D"), "24:00", dt.time(12), 1], **days) == [
        1,
        1,
        1,
        0.5,
        1,
    ]
    for raw in (stay, stay.astype(object)):
        _, broken = conform_column(raw, Column(name="x", type="real", missing=True))
        assert broken == [
            "a field is a duration; state the 'unit' in which it is counted: day, hour, minute or second"
        ]


@given(
    st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)).map(
        lambda d: dt.timedelta(seconds=d.seconds, days=d.days)
    )
)
def test_durations_are_read_as_pandas_writes_them(duration: dt.timedelta) -> None:
    assert read_duration(str(pd.Timedelta(duration))) == duration.total_seconds()


def test_periods_are_read_by_their_beginning() -> None:
    months = pd.Series(pd.period_range("2022-01", periods=3, freq="M"))
    assert steps(months, **YEAR) == [day("2022-01-01"), day("2022-02-01"), day("2022-03-01")]


def test_times_without_a_date_and_dates_without_an_end_are_named_not_missing() -> None:
    _, broken = conform_column(
        pd.Series([dt.timedelta(1), np.datetime64(10**12, "D")], dtype=object), Column(name="x", **YEAR)
    )
    assert broken == [
        "a field is a duration, which is no date or time",
        "a field is a date, time or duration out of range",
    ]


@pytest.fixture(scope="module")
def visits() -> privsynth.MarginalSynthesizer:
    days = pd.Series(pd.date_range("2022-03-01", "2022-03-28", tz="Europe/Berlin"))
    table = pd.DataFrame({"g": ["a", "b"] * 280, "day": pd.concat([days] * 20, ignore_index=True)})
    schema = Schema(
        {
            "g": {"type": "categorical", "categories": ["a", "b"]},
            "day": {**YEAR, "format": "%d/%m/%Y", "zone": "Europe/Berlin", "missing": True},
        }
    )
    return privsynth.MarginalSynthesizer(epsilon=None, random_state=0).fit(table, schema=schema)


def test_synthetic_csv_is_written_in_the_format_and_frames_hold_datetimes(visits, tmp_path: Path) -> None:
    rows = visits.sample(300, random_state=1, on_unsupported="warn")
    assert rows["day"].dtype == "datetime64[s]"
    assert rows["day"].dropna().between("2022-03-01", "2022-03-31").mean() > 0.9
    visits.sample_to(tmp_path / "t.csv", 300, random_state=1, on_unsupported="warn")
    texts = pd.read_csv(tmp_path / "t.csv", dtype=str)["day"]
    assert pd.to_datetime(texts, format="%d/%m/%Y").astype("datetime64[s]").equals(rows["day"])
    visits.sample_to(tmp_path / "t.parquet", 300, random_state=1, on_unsupported="warn")
    assert pd.read_parquet(tmp_path / "t.parquet")["day"].dtype.kind == "M"


def test_a_date_that_is_given_is_kept(visits, tmp_path: Path) -> None:
    given = ["07/03/2022", "2022-03-07", pd.Timestamp("2022-03-07", tz="Europe/Berlin"), dt.date(2022, 3, 7)]
    partial = pd.DataFrame({"day": pd.Series(given, dtype=object)})
    assert (visits.complete(partial, random_state=0)["day"] == pd.Timestamp("2022-03-07")).all()
    zoned = pd.DataFrame({"day": pd.date_range("2022-03-07", periods=2, tz="Europe/Berlin")})
    completed = visits.complete(zoned, random_state=0)["day"]
    assert completed.tolist() == [pd.Timestamp("2022-03-07"), pd.Timestamp("2022-03-08")]
    (tmp_path / "partial.csv").write_text("day\n07/03/2022\n")
    visits.complete_to(tmp_path / "whole.csv", tmp_path / "partial.csv", random_state=0)
    assert pd.read_csv(tmp_path / "whole.csv")["day"].tolist() == ["07/03/2022"]
    for condition in ("07/03/2022", "2022-03-07", pd.Timestamp("2022-03-07", tz="Europe/Berlin")):
        rows = visits.sample(20, conditions={"day": condition}, on_unsupported="warn")
        assert (rows["day"] == pd.Timestamp("2022-03-07")).all()
    with pytest.raises(RequestError, match="is not an ISO-8601 date or time or written as '%d/%m/%Y'"):
        visits.sample(20, conditions={"day": "7th of March"})
