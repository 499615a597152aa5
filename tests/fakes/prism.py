"""SendGrid as its own description makes it: Prism (stoplight.io/prism), which nobody here
wrote.

It refuses what breaks the description, and answers the rest by chance within it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.fakes.loopback import HttpHandler, Loopback, free_port
from tests.fakes.sendgrid_description import SPEC

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = Path(__file__).parents[1] / "render" / "gallery" / "email" / "node_modules"
PROGRAM = MODULES / "@stoplight" / "prism-cli" / "dist" / "index.js"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
START_SECONDS = 240


def missing() -> str:
    """What is not here that Prism needs; empty when it can run."""
    if not SPEC.is_file():
        return "SendGrid's description of its API is not beside this tree"
    if not shutil.which("node") or not PROGRAM.is_file():
        return (
            "Prism is not installed; run: "
            "npm ci --prefix tests/render/gallery/email --ignore-scripts"
        )
    return ""


class Prism(Loopback):
    """`answered` are (method, path, status) of all that came through to it."""

    def __init__(self, folder: Path) -> None:
        self.answered: list[tuple[str, str, int]] = []
        self.log = folder / "prism.log"
        self.behind = free_port()
        self.bind(_Handler)

    def __enter__(self) -> Self:
        words = ["mock", "--dynamic", "--errors", "--multiprocess", "false"]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    shutil.which("node") or "",
                    str(PROGRAM),
                    *words,
                    "--port",
                    str(self.behind),
                    str(SPEC),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while "listening" not in (said := self.log.read_text(errors="replace")):
            assert time.monotonic() < until, said
            assert self._process.poll() is None, said
            time.sleep(0.05)
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)


class _Handler(HttpHandler):
    def _hand_on(self) -> None:
        fake = self.server.fake
        behind = HTTPConnection("127.0.0.1", fake.behind, timeout=120)
        try:
            behind.request(self.command, self.path, self.body(), dict(self.headers))
            answer = behind.getresponse()
            body = answer.read()
        finally:
            behind.close()
        fake.answered.append((self.command, self.path.partition("?")[0], answer.status))
        self.answer(answer.status, body, dict(self._kept(answer.getheaders())))

    def _kept(self, headers: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        yield from (pair for pair in headers if pair[0].lower() not in HOP_BY_HOP)

    get = post = delete = _hand_on
