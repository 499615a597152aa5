"""A real Exim on loopback, as a relay that takes everything and gives back what it can't deliver.

As a Debian package it conflicts with Postfix, so its program is unpacked and not installed. It asks
for Debian's user at its start: it gets an /etc/passwd of its own, which nobody else sees.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.mail_servers.servers import OWNER, reached

if TYPE_CHECKING:
    from tests.mail_servers.servers import MailServers

UNPACKED = Path(__file__).parents[2] / "build" / "exim"
PACKAGES = ("exim4-daemon-light", "libidn12")


def unpacked() -> Path:
    """The program, fetched from Debian once."""
    program = UNPACKED / "usr/sbin/exim4"
    if not program.is_file():
        UNPACKED.mkdir(parents=True, exist_ok=True)
        for words in (["apt-get", "download", "-qq", *PACKAGES], ["sh", "-c", UNPACK]):
            subprocess.run(words, cwd=UNPACKED, check=True, timeout=120)
    # With the rights of its caller, or the loader would not look for its library here.
    program.chmod(0o755)
    return program


START = """exec unshare --mount sh -c '
mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group &&
exec "$0/exim" -C "$0/exim.conf" -bdf -q2s' "$0"
"""
UNPACK = "for one in *.deb; do dpkg -x $one .; done"


class Exim:
    """`with Exim(servers) as exim:` relays `servers.relayed` back to Postfix, which refuses it."""

    def __init__(self, servers: MailServers) -> None:
        self.port = servers.exim
        self.folder = servers.folder / "exim"
        self.folder.mkdir()
        os.chown(self.folder, OWNER, OWNER)
        self._config = self.folder / "exim.conf"
        self._program = self.folder / "exim"
        self._write_program(unpacked())
        self._config.write_text(f"""
exim_user = {OWNER}
exim_group = {OWNER}
exim_path = {self._program}
primary_hostname = exim.example.org
spool_directory = {self.folder}
log_file_path = {self.folder}/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
tls_advertise_hosts =
host_lookup =
acl_smtp_rcpt = all
keep_environment =
deliver_drop_privilege = true
trusted_users = root

begin acl
all:
  accept

begin routers
back:
  driver = manualroute
  condition = ${{if !eq{{$local_part}}{{nowhere}}}}
  route_list = * 127.0.0.1
  self = send
  transport = back

begin transports
back:
  driver = smtp
  port = {servers.mx}
  allow_localhost
  hosts_avoid_tls = *

begin retry
* * F,5m,1s
""")

    def _write_program(self, program: Path) -> None:
        """It calls itself with an empty environment, and has to find its library again."""
        [libraries] = {path.parent for path in UNPACKED.glob("usr/lib/*/libidn.so.*")}
        line = f'LD_LIBRARY_PATH={libraries} exec {program} "$@"'
        self._program.write_text(f"#!/bin/sh\n{line}\n")
        self._program.chmod(0o755)

    def __enter__(self) -> Self:
        for name, line in (("passwd", f"x:{OWNER}:{OWNER}::/nowhere:"), ("group", f"x:{OWNER}:")):
            known = Path("/etc", name).read_text(encoding="utf-8")
            (self.folder / name).write_text(f"{known.rstrip()}\nDebian-exim:{line}\n")
        with (self.folder / "said").open("w") as said:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", START, str(self.folder)],
                stdout=said,
                stderr=said,
            )
        try:
            reached(self.port)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(240)


def missing() -> str:
    return "" if shutil.which("apt-get") and shutil.which("dpkg") else "Exim comes from Debian"
