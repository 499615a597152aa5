"""Dovecot 2.3, a mail server that we did not write: one mailbox on loopback over TLS."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.loopback import free_port
from tests.fakes.tls import make_certificate
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

USER, PASSWORD = "reader", "secret"


def program() -> str | None:
    """The installed Dovecot; None if there is none, or one with another kind of configuration."""
    found = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not found:
        return None
    shown = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    return found if shown.stdout.startswith("2.3.") else None


PROGRAM = program()
CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{certificate}
ssl_key = <{certificate}
mail_location = maildir:{folder}/mail
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={folder}/mail
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
"""
WITHOUT_ROOT = """
default_internal_user = {owner.pw_name}
default_internal_group = {group}
default_login_user = {owner.pw_name}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
}}
"""


@dataclass(frozen=True)
class Dovecot:
    folder: Path
    port: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"imaps://{USER}:{PASSWORD}@127.0.0.1:{self.port}/INBOX"

    def put(self, raw: bytes) -> None:
        """Deliver a mail into the inbox, as a transfer agent does (maildir)."""
        new = self.folder / "mail" / "new"
        path = new / f"1700000000.{len(list(new.iterdir())):06}.test"
        path.write_bytes(raw)
        path.chmod(0o666)

    def flags(self) -> list[str]:
        """The flags of each mail in the inbox, as Dovecot wrote them; S stands for seen."""
        kept = sorted((self.folder / "mail" / "cur").iterdir())
        return [path.name.partition(":2,")[2] for path in kept]

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


@contextmanager
def dovecot() -> Iterator[Dovecot]:
    """Start Dovecot with an empty inbox; end it afterwards."""
    assert PROGRAM, "Dovecot 2.3 is not installed"
    # Not pytest's folder: the owner of the mail must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="nl") as made:
        folder = Path(made)
        folder.chmod(0o755)
        server = Dovecot(folder, free_port(), make_certificate(folder))
        owner = _configure(server)
        for part in (".", "new", "cur", "tmp"):
            path = folder / "mail" / part
            path.mkdir()
            os.chown(path, owner.pw_uid, owner.pw_gid)
        process = subprocess.Popen([PROGRAM, "-F", "-c", str(folder / "dovecot.conf")])
        try:
            assert wait_until(lambda: process.poll() is not None or _answers(server.port))
            assert process.poll() is None, server.log()
            yield server
        finally:
            process.terminate()
            process.wait(240)


def _configure(server: Dovecot) -> pwd.struct_passwd:
    """Write the configuration; return the owner of the mail, never root, which Dovecot refuses."""
    owner = pwd.getpwuid(os.geteuid() or pwd.getpwnam("nobody").pw_uid)
    text = CONFIG if os.geteuid() == 0 else CONFIG + WITHOUT_ROOT
    values = {
        "folder": server.folder,
        "certificate": server.certificate,
        "password": PASSWORD,
        "owner": owner,
        "group": grp.getgrgid(owner.pw_gid).gr_name,
        "port": server.port,
    }
    (server.folder / "dovecot.conf").write_text(text.format(**values))
    return owner


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
