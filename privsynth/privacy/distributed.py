"""The processes of one training under `torchrun`: the first decides and pays, the others help.

All ranks run the same fit. The first alone reads records, keeps ledger and releases, draws batches and noise.
The others get each release as it is made, of each batch the part whose clipped gradients they sum, and the
noisy gradient that comes of it: they follow as a replay does, and end with the same model. So the mechanism
is that of one process, a batch's clipped sum being added up from parts, and privacy does not rest on the
ranks' being in step: whatever weights a helper has, a record moves the sum by at most the bound. Messages are
plain data, JSON and safetensors, by gloo between processes that `torchrun` started for one user.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors

from privsynth.errors import PrivsynthError
from privsynth.releases.store import tensor_bytes

PATIENCE = timedelta(days=30)  # helpers wait while the first rank reads and fits
FAREWELL = timedelta(seconds=5)
STOP = -1

ClippedSum = Callable[[torch.Tensor], list[torch.Tensor]]
Arrays = Mapping[str, NDArray[Any]]


class RankStoppedError(PrivsynthError):
    """The first rank stopped; it says why itself."""


class Ranks:
    """This process among those of one training.

    Privacy:
        What leaves the first rank are releases, noisy gradients, and each helper's part of a batch; what
        leaves a helper is the clipped sum of its part, for the first rank.
    """

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE)
        self.is_first = dist.get_rank() == 0
        self._helpers = range(1, dist.get_world_size())

    @classmethod
    def of_this_process(cls) -> Ranks | None:
        """Join the other ranks of `torchrun`, or of the process group that is there; None if alone."""
        if not dist.is_available():
            return None
        if not dist.is_initialized():
            if not is_under_torchrun():
                return None
            dist.init_process_group("gloo", timeout=PATIENCE)
        return cls() if dist.get_world_size() > 1 else None

    def share(self, header: Mapping[str, Any], arrays: Arrays) -> None:
        """Send to every helper what it will get by `received`."""
        for rank in self._helpers:
            self._send(rank, header, arrays)

    def received(self, rank: int = 0) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Wait for what another rank sends: facts that JSON can hold, and arrays by name.

        Raises:
            RankStoppedError: If it stopped instead, or its process died.
        """
        sizes = torch.empty(2, dtype=torch.int64)
        self._wait(dist.irecv, sizes, rank)
        n_header, n_arrays = sizes.tolist()
        if n_header == STOP:
            raise RankStoppedError("the first rank stopped; it says why itself")
        data = torch.empty(n_header + n_arrays, dtype=torch.uint8)
        self._wait(dist.irecv, data, rank)
        message = data.numpy().tobytes()
        return json.loads(message[:n_header]), load_tensors(message[n_header:])

    def helped(self, clipped_sum: ClippedSum) -> list[torch.Tensor]:
        """Sum over this helper's part of a batch, and return the noisy gradient that came of the whole."""
        (records,) = self._received_tensors(0)
        self._send(0, {}, _numbered(clipped_sum(records)))
        return self._received_tensors(0)

    def share_gradient(self, gradient: list[torch.Tensor]) -> None:
        """Send the noisy gradient of a step to every helper."""
        self.share({}, _numbered(gradient))

    def summed(self, clipped_sum: ClippedSum, batch: torch.Tensor) -> list[torch.Tensor]:
        """See `summed_by`."""
        parts = batch.tensor_split(len(self._helpers) + 1)
        for rank in self._helpers:
            self._send(rank, {}, _numbered([parts[rank]]))
        try:
            total = clipped_sum(parts[0])
        finally:  # answers are taken up whatever happens, so that the ranks stay in step
            answers = [self._received_tensors(rank) for rank in self._helpers]
        for answer in answers:
            for whole, addend in zip(total, answer, strict=True):
                whole += addend
        return total

    def stop(self) -> None:
        """Let the helpers end too, if they still listen (first rank only)."""
        for rank in self._helpers:
            with suppress(RuntimeError):
                work = dist.isend(torch.tensor([STOP, 0]), rank, group=self._group)
                if work is not None:
                    work.wait(FAREWELL)

    def _received_tensors(self, rank: int) -> list[torch.Tensor]:
        _, arrays = self.received(rank)
        return [torch.from_numpy(arrays[str(i)]) for i in range(len(arrays))]

    def _send(self, rank: int, header: Mapping[str, Any], arrays: Arrays) -> None:
        parts = [json.dumps(header).encode(), tensor_bytes(arrays)]
        self._wait(dist.isend, torch.tensor([len(part) for part in parts]), rank)
        self._wait(dist.isend, torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8), rank)

    def _wait(self, send_or_receive: Callable[..., Any], tensor: torch.Tensor, rank: int) -> None:
        try:
            send_or_receive(tensor, rank, group=self._group).wait()
        except RuntimeError:
            raise RankStoppedError(
                f"rank {rank} of this training ended; what was paid for is kept, and the same command resumes"
            ) from None


def _numbered(tensors: Iterable[torch.Tensor]) -> dict[str, NDArray[Any]]:
    return {str(i): tensor.numpy() for i, tensor in enumerate(tensors)}


def summed_by(ranks: Ranks | None, clipped_sum: ClippedSum, batch: torch.Tensor) -> list[torch.Tensor]:
    """Return the clipped sum over a batch, each of whose records goes to one rank; by this process if alone.

    Args:
        ranks: The processes of this training, seen from the first.
        clipped_sum: Of the records of one rank.
        batch: All records of the step, ``(n, ...)``; may be empty.

    Privacy:
        Not private: one record moves the sum by as much as in one process.
    """
    return clipped_sum(batch) if ranks is None else ranks.summed(clipped_sum, batch)


def is_under_torchrun() -> bool:
    """Return whether `torchrun` started this process beside others."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_helper() -> bool:
    """Return whether this is a rank that only helps, and has nothing to read, write or say."""
    return is_under_torchrun() and os.environ.get("RANK") != "0"
