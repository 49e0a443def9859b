"""Ctrl-C during a training: the step is finished, the state kept, and what was learnt so far is a model."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from privsynth.errors.termination import TERMINATIONS, Termination, raise_termination


class FitInterrupted(KeyboardInterrupt):
    """A training was interrupted between two steps; carries the model as it stood."""

    def __init__(self, model: Any, message: str) -> None:
        super().__init__(message)
        self.model = model


class Interruption:
    """Whether Ctrl-C was pressed, or the process asked to end, since the training began."""

    requested = False


@contextmanager
def deferred_interruption() -> Iterator[Interruption]:
    """Hold back the first Ctrl-C until the training asks for it; a second one raises at once.

    SIGTERM and SIGHUP are held back likewise where they would raise (`terminations_raised`). Outside the
    main thread, where signals do not arrive, nothing is held back; where Ctrl-C is ignored, as in a helping
    rank of `torchrun`, it stays ignored.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(number: int, frame: FrameType | None) -> None:
        if number in TERMINATIONS:
            Termination.received = Termination.received or signal.Signals(number)
        elif interruption.requested:
            raise KeyboardInterrupt
        interruption.requested = True

    held: dict[signal.Signals, Any] = {
        number: raise_termination for number in TERMINATIONS if signal.getsignal(number) is raise_termination
    }
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        held[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    for number in held:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
