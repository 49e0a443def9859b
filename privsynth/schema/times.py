"""How a table writes its dates, times and durations. Nothing in this module reads records.

A time is what a clock on the wall shows: midnight stays midnight, whatever zone it was in. Where a column
names its zone, times that tell theirs are moved to it first.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pandas as pd

from privsynth.errors import SchemaError

EPOCH = dt.datetime(1970, 1, 1)
DAY_OF_TIMES = dt.date(1900, 1, 1)  # that of a time of day without a date, as Python reads it
_LOOSE = re.compile(
    r"(?P<year>\d{4})(?:(?P<mark>[-/.])(?P<month>\d{1,2})(?:(?P=mark)(?P<day>\d{1,2}))?)?"
    r"(?:[T ](?P<hour>\d{1,2})(?P<rest>:.*)?)?"
)
_DURATION = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+) days?,? ?)?(?P<clock>[+-]?)"
    r"(?:(?P<hours>\d+):(?P<minutes>\d\d)(?::(?P<seconds>\d\d(?:\.\d*)?))?)?"
)


@dataclass(frozen=True)
class TimeFormat:
    """How a table writes the times of a column.

    Attributes:
        format: As of ``strptime``, such as ``"%d/%m/%Y"``; None for ISO-8601.
        zone: IANA name of the zone whose clock counts; None for that of each time.
    """

    format: str | None = None
    zone: str | None = None

    @classmethod
    def checked(cls, format: object, zone: object, where: str) -> TimeFormat:
        """Return a format that can be read and written, and a zone that is known.

        Raises:
            SchemaError: If they are not.
        """
        if format is not None and not (isinstance(format, str) and _is_readable(format)):
            raise SchemaError(
                f"{where}: 'format' of a datetime column is one of Python's strptime that it can read back, "
                f'such as "%d/%m/%Y" or "%d %b %Y %H:%M"; got {format!r}'
            )
        if zone is not None and not (isinstance(zone, str) and _is_zone(zone)):
            raise SchemaError(
                f"{where}: 'zone' is the IANA name of a time zone, such as \"Europe/Berlin\"; got {zone!r}"
            )
        return cls(format, zone)

    def read(self, text: str) -> dt.datetime:
        """Return what the clock shows at a time that is written in the format or, else, in ISO-8601.

        Raises:
            ValueError: If it is written in neither.

        Example:
            >>> TimeFormat("%d.%m.%Y").read("24.12.2021"), TimeFormat().read("2021-12-24T01:00+05:00")
            (datetime.datetime(2021, 12, 24, 0, 0), datetime.datetime(2021, 12, 24, 1, 0))
        """
        if self.format is not None:
            try:
                return self.on_the_wall(dt.datetime.strptime(text, self.format))
            except ValueError:
                pass
        return self.on_the_wall(read_iso(text))

    def on_the_wall(self, moment: dt.date | dt.time) -> dt.datetime:
        """Return what the clock shows at a date, a datetime, or a time of day, which is on 1 January 1900.

        Raises:
            ValueError: If the years 1 to 9999 do not hold it, or it is none.
        """
        if isinstance(moment, pd.Timestamp):
            moment = moment.to_pydatetime(warn=False)
        if isinstance(moment, dt.time):
            moment = dt.datetime.combine(DAY_OF_TIMES, moment)
        if not isinstance(moment, dt.datetime):
            moment = dt.datetime.combine(moment, dt.time())
        if moment.tzinfo is not None and self.zone is not None:
            try:
                moment = moment.astimezone(ZoneInfo(self.zone))
            except OverflowError:
                raise ValueError("out of range") from None
        return moment.replace(tzinfo=None, fold=0)

    def write(self, moments: pd.Series) -> pd.Series:
        """Return a column of datetimes as texts in the format, and as it is without one."""
        if self.format is None:
            return moments
        codes, known = pd.factorize(moments)  # few days are distinct, and strftime is slow
        texts = [moment.strftime(self.format) for moment in known.to_pydatetime()]
        return pd.Series([*texts, None], dtype=object).take(codes % (len(texts) + 1)).set_axis(moments.index)


def seconds_of(moment: dt.datetime) -> float:
    """Return a time as seconds since 1970."""
    return (moment - EPOCH).total_seconds()


def read_iso(text: str) -> dt.datetime:
    """Return an ISO-8601 date or time; a year, a month, slashes and lone digits are understood too.

    Raises:
        ValueError: If it is none.

    Example:
        >>> [str(read_iso(text)) for text in ("2020-03", "2020/3/1 5:00", "20200301T05")]
        ['2020-03-01 00:00:00', '2020-03-01 05:00:00', '2020-03-01 05:00:00']
    """
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        match = _LOOSE.fullmatch(text)
        if match is None or (match["hour"] and not match["day"]):
            raise
    day = f"{match['year']}-{int(match['month'] or 1):02}-{int(match['day'] or 1):02}"
    return dt.datetime.fromisoformat(f"{day}T{int(match['hour'] or 0):02}{match['rest'] or ''}")


def read_duration(text: str) -> float:
    """Return the seconds of a duration or time of day as pandas and clocks write it.

    Raises:
        ValueError: If it is none.

    Example:
        >>> [read_duration(text) for text in ("1 days 02:00:00", "08:30", "-1 days +23:59:59")]
        [93600.0, 30600.0, -1.0]
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or (match["days"] is None and match["hours"] is None):
        raise ValueError(f"no duration: {text!r}")
    clock = 3600 * int(match["hours"] or 0) + 60 * int(match["minutes"] or 0) + float(match["seconds"] or 0)
    days = 86_400.0 * int(match["days"] or 0)
    if match["clock"]:  # pandas: the days are negative, the clock is not
        return (-days if match["sign"] else days) + (-clock if match["clock"] == "-" else clock)
    return -(days + clock) if match["sign"] else days + clock


def datetime_to_step(text: str, resolution_seconds: int, where: str, *, zone: str | None = None) -> float:
    """Return an ISO-8601 time as whole steps since 1970, as the clock shows it (in ``zone``, if given).

    A time of day without a date is on 1 January 1900.
    """
    for read in (dt.datetime.fromisoformat, dt.time.fromisoformat):
        try:
            moment = TimeFormat(zone=zone).on_the_wall(read(text))
        except ValueError:
            continue
        return float(seconds_of(moment) // resolution_seconds)
    raise SchemaError(f"{where} is not an ISO-8601 date or time: {text!r}")


def _is_readable(format: str) -> bool:
    try:
        moment = dt.datetime(2004, 5, 6, 7, 8, 9)
        text = moment.strftime(format)
        return "%" in format and dt.datetime.strptime(text, format).strftime(format) == text
    except ValueError:
        return False


def _is_zone(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, LookupError):
        return False
    return True
