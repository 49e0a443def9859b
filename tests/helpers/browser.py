"""Drive a headless Chromium over a pipe: open a page, read its console and requests, take a picture."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


class Tab:
    """One page and what it said.

    Attributes:
        console: Errors and warnings, also those that the browser itself reports.
        requested: Address of everything that the page asked for.
    """

    def __init__(self, process: subprocess.Popen[bytes], to_browser: int, from_browser: int) -> None:
        self.console: list[str] = []
        self.requested: list[str] = []
        self._process, self._write, self._read = process, to_browser, from_browser
        self._buffer = b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self._seen: set[str] = set()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, timeout_seconds: float = 60, **parameters: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            answer = self._next(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
        raise TimeoutError(method)

    def open(self, path: Path, *, width: int = 1280, height: int = 900) -> float:
        """Open a file and return the seconds until its load event; what the page says is kept."""
        self.resize(width, height)
        self._seen.discard("Page.loadEventFired")
        start = time.monotonic()
        self.call("Page.navigate", url=path.as_uri())
        deadline = start + 60
        while "Page.loadEventFired" not in self._seen:
            self._next(deadline)
        return time.monotonic() - start

    def resize(self, width: int, height: int) -> None:
        """Set the size of the page."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, expression: str, timeout_seconds: float = 60) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + timeout_seconds
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen, or the whole page, as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        path.write_bytes(base64.b64decode(found["data"]))

    def prefer(self, scheme: str) -> None:
        """Prefer ``light`` or ``dark``, as a user's system does."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))[0]
            if not ready:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._read, 2**20)
            if not part:
                raise ConnectionError(f"the browser ended with {self._process.poll()}")
            self._buffer += part
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        method, parameters = message.get("method"), message.get("params", {})
        if method:
            self._seen.add(method)
        if method == "Runtime.exceptionThrown":
            self.console.append(str(parameters["exceptionDetails"].get("exception", parameters)))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.console.append(str(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.console.append(parameters["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])
        return message


@contextlib.contextmanager
def browser_tab() -> Iterator[Tab]:
    """Start a browser of its own with an empty profile, and end it."""
    assert BROWSER is not None
    # ignore_cleanup_errors: the browser's helpers may still write while they end
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for_browser, to_browser = os.pipe()
        from_browser, of_browser = os.pipe()

        def descriptors() -> None:  # the browser reads commands at 3 and writes answers at 4
            low, high = os.dup(for_browser), os.dup(of_browser)
            os.dup2(low, 3)
            os.dup2(high, 4)

        process = subprocess.Popen(
            [BROWSER, *FLAGS, f"--user-data-dir={profile}"],
            preexec_fn=descriptors,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(for_browser)
        os.close(of_browser)
        try:
            yield Tab(process, to_browser, from_browser)
        finally:
            process.kill()
            process.wait()
            os.close(to_browser)
            os.close(from_browser)
