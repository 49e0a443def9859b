"""Public lists of what people write into tables: words for missing, yes and no, dates, currencies, names.

A draft names only what stands here, so that no text of a record gets into a schema. Nothing reads records.
"""

from __future__ import annotations

import re

MISSING_WORDS = frozenset(
    {"na", "n/a", "n.a.", "#n/a", "#na", "nan", "<na>", "nat", "null", "(null)", "none", "nil", "missing",
     "unknown", "unk", "not available", "not applicable", "not recorded", "-", "--", "---", "–", "—", "?",
     "??", ".", "..", "*", "#value!", "#div/0!", "\\n"}
)  # fmt: skip
MISSING_NUMBERS = frozenset({"-9", "-99", "-999", "-9999", "-99999"})

TRUTH_PAIRS = (  # false first
    ("n", "y"), ("no", "yes"), ("f", "t"), ("off", "on"), ("negative", "positive"), ("neg", "pos"),
    ("absent", "present"), ("nein", "ja"), ("n", "j"), ("non", "oui"), ("no", "si"), ("no", "sí"),
    ("n", "s"), ("nee", "ja"), ("nej", "ja"), ("não", "sim"), ("нет", "да"),
)  # fmt: skip

_DAYS = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d %b %Y",
    "%d %B %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%d%b%Y", "%d/%m/%y", "%m/%d/%y",
    "%d.%m.%y", "%d-%b-%y", "%d-%m-%y", "%Y%m%d",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
DATE_FORMATS = tuple(day + time for time in _TIMES for day in _DAYS)
MONTH_FIRST = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y", "%d/%m/%y": "%m/%d/%y"}

NUMBERS = ("1,234.5", "1234,5", "1.234,5", "1 234.5", "1 234,5", "1'234.5", "1'234,5")
CURRENCIES = frozenset(
    {"$", "€", "£", "¥", "₹", "₽", "₩", "zł", "kr", "kr.", "Fr.", "US$", "A$", "C$", "R$", "USD", "EUR",
     "GBP", "CHF", "JPY", "CAD", "AUD", "SEK", "NOK", "DKK", "PLN", "INR", "CNY", "RUB", "BRL", "ZAR", "KES",
     "Rs", "Rs."}
)  # fmt: skip
UNITS = frozenset(
    {"%", "‰", "kg", "g", "mg", "µg", "lb", "lbs", "oz", "m", "cm", "mm", "km", "mi", "ft", "in", "l", "ml",
     "dl", "°C", "°F", "mmHg", "bpm", "mg/dl", "mmol/l", "kWh", "kW", "h", "hrs", "min", "s", "sec", "ms",
     "d", "days", "weeks", "months", "years", "yrs", "km/h", "mph"}
)  # fmt: skip

SOME_REPEAT = 0.1  # of the rows: the distinct values of an id of persons who have ten rows each
_SPLIT = re.compile(r"[\W_]+|(?<=[^\W\d_])(?=\d)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ID = {"id", "ids", "uuid", "guid", "key", "mrn", "ssn", "nbr", "identifier", "pid", "iban", "account"}
_NUMBERED = {"no", "nr", "num", "number", "nbr", "code", "id", "key"}
_PERSONS = {
    "patient", "person", "subject", "participant", "customer", "client", "member", "user", "student",
    "employee", "household", "family", "respondent", "individual", "applicant", "borrower", "defendant",
    "owner", "visitor",
}  # fmt: skip
_TEXT = {  # what a column of such a name holds, and which provider of Faker makes new ones
    "email": ("email", "mail", "emails"),
    "phone_number": ("phone", "telephone", "tel", "mobile", "fax"),
    "name": ("surname", "firstname", "lastname", "fullname", "forename", "nachname", "vorname"),
    "address": ("address", "street", "addr"),
    "url": ("url", "website", "homepage"),
    "ipv4": ("ip", "ipaddress"),
    "sentence": ("comment", "comments", "note", "notes", "remark", "remarks", "description", "narrative"),
}  # fmt: skip
_NAMES = {("name",), ("names",), ("first", "name"), ("last", "name"), ("full", "name"), ("given", "name"),
          ("family", "name"), ("middle", "name"), ("maiden", "name")}  # fmt: skip
_DATES = {"date", "datetime", "dob", "birthdate", "timestamp", "datum"}


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a column name in small letters.

    Example:
        >>> words_of("PatientID"), words_of("date_of_birth"), words_of("visit.no2")
        (('patient', 'id'), ('date', 'of', 'birth'), ('visit', 'no', '2'))
    """
    spaced = _CAMEL.sub(" ", name).lower()
    return tuple(word for word in _SPLIT.split(spaced) if word)


def names_an_id(name: str) -> bool:
    """Whether a column name speaks of an identifier: of a row, a person or something else."""
    words = words_of(name)
    return bool(words) and (words[-1] in _ID or words[0] == "id" or names_a_person(name))


def names_a_person(name: str) -> bool:
    """Whether a column name speaks of the identifier of a person or household."""
    words = words_of(name)
    if not words:
        return False
    is_numbered = len(words) == 1 or words[-1] in _NUMBERED
    whole = {f"{person}{number}" for person in _PERSONS for number in _NUMBERED}
    return bool(_PERSONS & set(words) and is_numbered) or words[0] in whole


def repeats_like_an_id(name: str, n_values: int, n_rows: int) -> bool:
    """Whether a column of such a name, with so many distinct values, may say which rows belong together.

    Args:
        name: Of the column.
        n_values: Distinct values, each empty field by itself.
        n_rows: Rows.
    """
    repeats = 1 < n_values < n_rows
    is_code = n_values < SOME_REPEAT * n_rows and not names_a_person(name)  # a few kinds, as of admissions
    return repeats and names_an_id(name) and not is_code


def names_a_text(name: str) -> str | None:
    """Return the provider of Faker for what a column name says is a name, an address or free text."""
    words = words_of(name)
    if words in _NAMES or (words[-1:] == ("name",) and bool(_PERSONS & set(words))):
        return "name"
    return next((provider for provider, names in _TEXT.items() if set(names) & set(words)), None)


def names_a_date(name: str) -> bool:
    """Whether a column name speaks of a date."""
    return bool(_DATES & set(words_of(name)))
