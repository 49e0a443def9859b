"""How a text is read as a date or time. Nothing in this module reads records."""

from __future__ import annotations

import datetime as dt
import re

_LOOSE = re.compile(
    r"(?P<year>\d{4})(?:(?P<mark>[-/.])(?P<month>\d{1,2})(?:(?P=mark)(?P<day>\d{1,2}))?)?"
    r"(?:[T ](?P<hour>\d{1,2})(?P<rest>:.*)?)?"
)


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
