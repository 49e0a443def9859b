"""One fit by the processes of `torchrun`: how releases reach the helpers, and how all end together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privsynth.errors import ParameterError
from privsynth.errors.termination import INTERRUPTIONS
from privsynth.privacy.distributed import Ranks
from privsynth.releases.store import Release, ReleaseStore, release_from


class JointStore(ReleaseStore):
    """The releases of a joint fit: the first rank sends them on as they are made, the others wait."""

    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__(path)
        self.ranks: Ranks | None = None

    def begin(self, ranks: Ranks | None) -> None:
        """Give the helpers what an interrupted run has left; from now on releases are sent as they come."""
        self.ranks = ranks
        if ranks is None:
            return
        if ranks.is_first:
            keys = list(self._checkpoints)
            ranks.share({"meta": self.meta, "n_releases": len(self), "checkpoints": keys}, {})
            for release in self:
                ranks.share(release.header(), release.arrays)
            for arrays in self._checkpoints.values():
                ranks.share({}, arrays)
        else:
            left, _ = ranks.received()
            self.meta = left["meta"]
            self._releases = [release_from(*ranks.received()) for _ in range(left["n_releases"])]
            self._checkpoints = {key: ranks.received()[1] for key in left["checkpoints"]}

    def append(self, release: Release) -> None:
        """Keep a release; on return it is durable."""
        super().append(release)
        if self.ranks is not None and self.ranks.is_first:
            self.ranks.share(release.header(), release.arrays)

    def stored(self, key: str) -> Release | None:
        """Return the release with this key; a helper waits for it."""
        known = super().stored(key)
        if known is None and self.ranks is not None and not self.ranks.is_first:
            known = release_from(*self.ranks.received())
            assert known.key == key
            super().append(known)
        return known


@contextmanager
def joint_fit(device: str) -> Iterator[Ranks | None]:
    """Give this process's place among those of `torchrun`, None if alone; if the first fails, all end.

    Helpers leave Ctrl-C, SIGTERM and SIGHUP to the first rank, which finishes its step and keeps a usable
    model.
    """
    ranks = Ranks.of_this_process()
    if ranks is None:
        yield None
        return
    if device == "cuda":
        raise ParameterError(
            "expected device='cpu' or 'auto' in a fit by several processes, got 'cuda': they divide the "
            "work among CPUs; with a GPU, fit without torchrun"
        )
    if ranks.is_first:
        try:
            yield ranks
        except BaseException:
            ranks.stop()
            raise
    elif threading.current_thread() is not threading.main_thread():
        yield ranks
    else:
        previous = {number: signal.signal(number, signal.SIG_IGN) for number in INTERRUPTIONS}
        try:
            yield ranks
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
