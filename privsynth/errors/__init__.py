"""Every error that privsynth raises on purpose, and the exit code that the command line gives it.

Messages say what was expected, what was found and what to do. They quote public parameters by name
and value, and never a value of a real record.
"""

from __future__ import annotations


class PrivsynthError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What was expected and what was found.
        next: The command or action that works next, if there is one; it ends the message, too.
        found: What was found, as a clause by itself, for those who go on and say what they did instead.

    Attributes:
        exit_code: What the command line returns.
        kind: Name of the class for scripts; stays the same.
        next: As given.
        found: As given.
    """

    exit_code = 1
    kind = "error"

    def __init__(self, message: str = "", *, next: str | None = None, found: str | None = None) -> None:
        super().__init__(message if next is None else f"{message}; {next}")
        self.next = next
        self.found = found


class ParameterError(PrivsynthError, ValueError):
    """A public argument is outside its range."""

    exit_code = 2
    kind = "parameter"


class SchemaError(PrivsynthError, ValueError):
    """The schema is malformed, lacks a fact, or does not fit the table."""

    exit_code = 2
    kind = "schema"


class TableError(PrivsynthError, ValueError):
    """A table cannot be read or written, or its columns are not usable."""

    exit_code = 2
    kind = "table"


class ModelFileError(PrivsynthError, ValueError):
    """A model file is damaged, of another kind, or from a newer version."""

    exit_code = 2
    kind = "model_file"


class StoreInUseError(PrivsynthError, RuntimeError):
    """The paid releases of a run belong to another process that is at work with them."""

    exit_code = 2
    kind = "store_in_use"


class RequestError(PrivsynthError, ValueError):
    """A sampling request is malformed: an unknown column, an unknown value, an empty range."""

    exit_code = 2
    kind = "request"


class UnsupportedRequestError(PrivsynthError, ValueError):
    """A sampling request asks for cells about which the model knows nothing."""

    exit_code = 4
    kind = "unsupported_request"


class LedgerError(PrivsynthError, RuntimeError):
    """The ledger refuses: another unit, an unknown run, a damaged file."""

    exit_code = 3
    kind = "ledger"


class BudgetExceededError(PrivsynthError, RuntimeError):
    """A charge would pass the budget of the run or the limit of the data set."""

    exit_code = 3
    kind = "budget_exceeded"


class ReplayError(PrivsynthError, RuntimeError):
    """A model is rebuilt from stored releases, and one that it needs is not among them."""

    exit_code = 1
    kind = "replay"


class UnsupportedLayerError(PrivsynthError, ValueError):
    """A network or loss that is to see real records would mix them."""

    exit_code = 2
    kind = "unsupported_layer"
