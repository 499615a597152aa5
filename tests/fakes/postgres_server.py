"""A PostgreSQL cluster of a test's own, which the test may restart."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.loopback import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

CONF = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
"""


@dataclass(frozen=True)
class PostgresServer:
    binaries: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://newsletter@127.0.0.1:{self.port}/postgres"

    def restart(self, mode: str) -> None:
        """`fast` ends all connections; `immediate` is a crash, and the log is replayed."""
        self.control("stop", "-m", mode)
        self.start()

    def start(self) -> None:
        self.control("start", "-l", str(self.folder / "log"))

    def control(self, *words: str) -> None:
        _run(self.binaries / "pg_ctl", "-w", "-t", "600", "-D", self.folder, *words)


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """Start a new cluster in `folder`, which is empty; end it afterwards."""
    binaries = found_binaries()
    assert binaries, "PostgreSQL's own programs (initdb, pg_ctl) are not installed"
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        shutil.chown(folder, "postgres")
    made = folder / "cluster"
    _run(
        binaries / "initdb",
        "-D",
        made,
        "-A",
        "trust",
        "-U",
        "newsletter",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    )
    port = free_port()
    with (made / "postgresql.conf").open("a") as conf:
        conf.write(f"{CONF}port = {port}\n")
    server = PostgresServer(binaries, made, port)
    server.start()
    try:
        yield server
    finally:
        server.control("stop", "-m", "immediate")


def found_binaries() -> Path | None:
    """The folder of initdb and pg_ctl."""
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


def _run(*words: object) -> None:
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    # Its output goes to a file: the server keeps an inherited pipe open.
    subprocess.run(
        [*user, *map(str, words)],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
