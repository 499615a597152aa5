"""A real HTTP proxy (proxy.py) on loopback, in a process of its own, that tunnels by CONNECT.

It alone can resolve names below `.test`: whoever reaches a host of that kind went through it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from proxy.http.proxy import HttpProxyBasePlugin

if TYPE_CHECKING:
    from proxy.http.parser import HttpParser

NOTES = "TEST_PROXY_NOTES"


class Plugin(HttpProxyBasePlugin):  # type: ignore[misc] - the library is untyped
    """Notes what is asked for, and knows the names."""

    def before_upstream_connection(self, request: HttpParser) -> HttpParser:
        host = (request.host or b"").decode()
        with Path(os.environ[NOTES]).open("a", encoding="utf-8") as notes:
            notes.write(f"{(request.method or b'').decode()} {host}\n")
        return request

    def resolve_dns(self, host: str, port: int) -> tuple[str | None, None]:
        del port
        return ("127.0.0.1" if host.endswith(".test") else None), None


class ConnectProxy:
    """`with ConnectProxy(folder) as proxy:` listens at `proxy.url`; `asked` is what came so far."""

    def __init__(self, folder: Path, login: str = "") -> None:
        self._notes, self._port = folder / "asked", folder / "port"
        self._notes.touch()
        self._login = login

    def __enter__(self) -> Self:
        words = ["--hostname", "127.0.0.1", "--port", "0", "--port-file", str(self._port)]
        words += ["--num-workers", "1", "--num-acceptors", "1", "--log-level", "e"]
        words += ["--plugins", f"{__name__}.{Plugin.__name__}"]
        if self._login:
            words += ["--basic-auth", self._login]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "proxy", *words],
            cwd=Path(__file__).parents[2],
            env=os.environ | {NOTES: str(self._notes)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 240
        while not (self._port.is_file() and (port := self._port.read_text().strip())):
            assert time.monotonic() < until, "the proxy does not start"
            time.sleep(0.02)
        login = f"{quote(self._login, safe=':')}@" if self._login else ""
        self.url = f"http://{login}127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        # With all of its children, at once: ending by itself takes it a second.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    @property
    def asked(self) -> list[str]:
        return self._notes.read_text(encoding="utf-8").splitlines()
