"""Every error that privsynth raises on purpose, and the exit code that the command line gives it.

Messages say what was expected, what was found and what to do. They quote public parameters by name
and value, and never a value of a real record.
"""

from __future__ import annotations


class PrivsynthError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class ParameterError(PrivsynthError, ValueError):
    """A public argument is outside its range."""

    exit_code = 2


class SchemaError(PrivsynthError, ValueError):
    """The schema is malformed, lacks a fact, or does not fit the table."""

    exit_code = 2


class TableError(PrivsynthError, ValueError):
    """A table cannot be read or written, or its columns are not usable."""

    exit_code = 2


class ModelFileError(PrivsynthError, ValueError):
    """A model file is damaged, of another kind, or from a newer version."""

    exit_code = 2


class StoreInUseError(PrivsynthError, RuntimeError):
    """The paid releases of a run belong to another process that is at work with them."""

    exit_code = 2


class RequestError(PrivsynthError, ValueError):
    """A sampling request is malformed: an unknown column, an unknown value, an empty range."""

    exit_code = 2


class UnsupportedRequestError(PrivsynthError, ValueError):
    """A sampling request asks for cells about which the model knows nothing."""

    exit_code = 4


class LedgerError(PrivsynthError, RuntimeError):
    """The ledger refuses: another unit, an unknown run, a damaged file."""

    exit_code = 3


class BudgetExceededError(PrivsynthError, RuntimeError):
    """A charge would pass the budget of the run or the limit of the data set."""

    exit_code = 3


class ReplayError(PrivsynthError, RuntimeError):
    """A model is rebuilt from stored releases, and one that it needs is not among them."""

    exit_code = 1


class UnsupportedLayerError(PrivsynthError, ValueError):
    """A network or loss that is to see real records would mix them."""

    exit_code = 2
