"""SIGTERM and SIGHUP end a run as Ctrl-C does, so that what was reserved and not claimed goes back first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TERMINATIONS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # of which Windows knows one
INTERRUPTIONS = (signal.SIGINT, *TERMINATIONS)


class Termination(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: what a service manager, a batch system or a closed terminal sends."""

    received: signal.Signals | None = None
    """The first that came since `terminations_raised` began, in this process."""


def raise_termination(number: int, frame: FrameType | None) -> None:
    """Raise the first; those behind it are part of the same wish, and would cut short what obeys it."""
    if Termination.received is None:
        Termination.received = signal.Signals(number)
        raise Termination


@contextmanager
def terminations_raised(*, as_exit_code: bool) -> Iterator[None]:
    """Raise a `Termination` where SIGTERM or SIGHUP would end the process at once.

    A handler of somebody else's, and an ignored signal as under `nohup`, stay as they are; so do signals
    outside the main thread, where they do not arrive.

    Args:
        as_exit_code: The caller gives the exit code, 128 and the signal's number. Otherwise the process ends
            by the signal after the block, as it would have without it.
    """
    taken = []
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in TERMINATIONS}
        taken = [number for number, handler in handlers.items() if handler is signal.SIG_DFL]
        if raise_termination not in handlers.values():
            Termination.received = None
    for number in taken:
        signal.signal(number, raise_termination)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
        came = Termination.received
        if came in taken and came is not None and not as_exit_code:
            signal.raise_signal(came)


@contextmanager
def held_back() -> Iterator[None]:
    """Let a block that belongs together come to its end; signals that came in it are obeyed after it."""
    came: list[int] = []
    previous: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.getsignal(number) for number in INTERRUPTIONS}
    for number, handler in previous.items():
        if callable(handler):
            signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in previous.items():
            if callable(handler):
                signal.signal(number, handler)
    for sent in came:
        previous[signal.Signals(sent)](sent, None)
