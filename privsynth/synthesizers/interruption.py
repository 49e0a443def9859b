"""Ctrl-C during a training: the step is finished, the state kept, and what was learnt so far is a model."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class FitInterrupted(KeyboardInterrupt):
    """A training was interrupted between two steps; carries the model as it stood."""

    def __init__(self, model: Any, message: str) -> None:
        super().__init__(message)
        self.model = model


class Interruption:
    """Whether Ctrl-C was pressed since the training began."""

    requested = False


@contextmanager
def deferred_interruption() -> Iterator[Interruption]:
    """Hold back the first Ctrl-C until the training asks for it; a second one raises at once.

    Outside the main thread, where signals do not arrive, nothing is held back; where Ctrl-C is ignored, as
    in a helping rank of `torchrun`, it stays ignored.
    """
    interruption = Interruption()
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is signal.SIG_IGN:
        yield interruption
        return

    def note(number: int, frame: FrameType | None) -> None:
        if interruption.requested:
            raise KeyboardInterrupt
        interruption.requested = True

    signal.signal(signal.SIGINT, note)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, previous)
