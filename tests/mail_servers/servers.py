"""A real Postfix and a real Dovecot on loopback, each in a folder of its own; root starts them.

Postfix takes mail on a submission port (STARTTLS, SASL by Dovecot) and delivers it to Maildirs,
which Dovecot serves by IMAP over TLS. Debian: apt-get install postfix dovecot-imapd.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import trustme

from tests.fakes.loopback import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

USER, PASSWORD = "newsletter", "secret@word"
DOMAIN, REPLIES = "example.org", "in.example.org"
REFUSED = {"gone": "550 5.1.1 user unknown", "quota": "552 5.2.2 over quota"}
"""What Exim hears of its recipients, by their local part."""
OWNER = 2000
"""Number of the user whose files the mailboxes are; nobody needs to be called so."""
DAEMONS = {
    "cleanup": "unix n - n - 0 cleanup",
    "qmgr": "unix n - n 300 1 qmgr",
    "rewrite": "unix - - n - - trivial-rewrite",
    "tlsmgr": "unix - - n 1000? 1 tlsmgr",
    **dict.fromkeys(("bounce", "defer", "trace"), "unix - - n - 0 bounce"),
    "smtp": "unix - - n - - smtp",
    "virtual": "unix - n n - - virtual",
    "error": "unix - - n - - error",
    "retry": "unix - - n - - error",
    "scache": "unix - - n - 1 scache",
    "anvil": "unix - - n - 1 anvil",
    "proxymap": "unix - - n - - proxymap",
    "postlog": "unix-dgram n - n - 1 postlogd",
}


def missing() -> str:
    """What is not here that the servers need; empty when they can be started."""
    if os.geteuid() != 0:
        return "only root can start Postfix"
    absent = [name for name in ("postfix", "dovecot", "doveadm") if not shutil.which(name)]
    return f"apt-get install postfix dovecot-imapd ({', '.join(absent)})" if absent else ""


def reached(port: int) -> None:
    until = time.monotonic() + 90
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < until, f"nobody listens at port {port}"
        time.sleep(0.05)


class MailServers:
    """`with MailServers(folder, readers) as servers:`; the folder must be open to all.

    `faulty` are addresses whose mail Postfix gives back, by the words that say why, like
    "5.2.2 mailbox full". Whoever is neither is unknown to it.
    """

    relayed = "exim.example.org"
    """A domain whose mail Exim has to deliver; it finds Postfix's `mx`, which takes none of it."""

    def __init__(
        self, folder: Path, readers: Sequence[str], faulty: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.submission, self.imap, self.auth = free_port(), free_port(), free_port()
        self.mx, self.exim = free_port(), free_port()
        self.maildirs = folder / "mail"
        self.log = folder / "postfix.log"
        self._postfix, self._dovecot = folder / "postfix", folder / "dovecot"
        for made in (
            self.maildirs,
            self._postfix,
            self._dovecot,
            folder / "queue",
            folder / "data",
        ):
            made.mkdir()
        os.chown(self.maildirs, OWNER, OWNER)
        shutil.chown(folder / "data", "postfix")
        self._write_certificate()
        self._write_postfix(readers, faulty or {})
        self._write_dovecot()
        # Percent signs and @ in a URL are what an operator meets first.
        login = f"{USER}:{PASSWORD.replace('@', '%40')}@127.0.0.1"
        self.environment = {
            "NEWSLETTER_MAILER": "smtp",
            "NEWSLETTER_SMTP_URL": f"smtp://{login}:{self.submission}",
            "NEWSLETTER_IMAP_URL": f"imaps://{login}:{self.imap}/INBOX",
            "NEWSLETTER_FROM_EMAIL": f"digest@{DOMAIN}",
            "NEWSLETTER_REPLY_DOMAIN": REPLIES,
            "NEWSLETTER_POSTAL_ADDRESS": "1 Example Street",
            "SSL_CERT_FILE": str(folder / "authority.pem"),
        }

    def __enter__(self) -> Self:
        try:
            self._run("dovecot", "-c", str(self._dovecot / "dovecot.conf"))
            self.start()
            reached(self.imap)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with suppress(subprocess.CalledProcessError):
            self._run("doveadm", "-c", str(self._dovecot / "dovecot.conf"), "stop")

    def start(self) -> None:
        self._run("postfix", "-c", str(self._postfix), "start")
        reached(self.submission)

    def stop(self) -> None:
        """As `systemctl stop` does: what it is in the middle of is brought to its end."""
        with suppress(subprocess.CalledProcessError):
            self._run("postfix", "-c", str(self._postfix), "stop")

    def sessions(self) -> list[dict[str, int]]:
        """Counts of SMTP commands in each ended session with a login, from Postfix's log."""
        ended = re.findall(r"disconnect from \S+ (.*)", self.log.read_text(encoding="utf-8"))
        counts = [dict(re.findall(r"(\w+)=(\d+)", line)) for line in ended]
        return [
            {command: int(number) for command, number in one.items()}
            for one in counts
            if "auth" in one
        ]

    def mails(self, address: str) -> list[bytes]:
        """What lies in a mailbox."""
        inside = self.maildirs / address
        return [path.read_bytes() for path in sorted(inside.glob("*/*")) if path.is_file()]

    def _write_certificate(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "authority.pem"))
        issued = authority.issue_cert("127.0.0.1", "mx.example.org")
        path = self.folder / "server.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(str(path))
        path.chmod(0o600)

    def _write_postfix(self, readers: Sequence[str], faulty: Mapping[str, str]) -> None:
        pem, here = self.folder / "server.pem", self._postfix
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": self.folder / "queue",
            "data_directory": self.folder / "data",
            "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "maillog_file": self.log,
            "maillog_file_prefixes": self.folder,
            "myhostname": "mx.example.org",
            "mydestination": "",
            "mynetworks": "192.0.2.1/32",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "alias_maps": "",
            "virtual_mailbox_domains": f"{DOMAIN}, {REPLIES}",
            "virtual_mailbox_base": self.maildirs,
            "virtual_mailbox_maps": f"texthash:{here}/mailboxes, regexp:{here}/replies",
            "virtual_minimum_uid": OWNER,
            "virtual_uid_maps": f"static:{OWNER}",
            "virtual_gid_maps": f"static:{OWNER}",
            "transport_maps": f"texthash:{here}/faulty",
            "default_transport": "error:5.1.2 no such host here",
            "smtpd_tls_chain_files": pem,
            "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_auth_only": "yes",
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": f"inet:127.0.0.1:{self.auth}",
            "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
            # As behind a relay: what is wrong with a recipient is told by mail, later.
            "smtpd_reject_unlisted_recipient": "no",
            "smtpd_client_connection_count_limit": "0",
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        (here / "main.cf").write_text("\n".join([*lines, ""]))
        services = [f"127.0.0.1:{self.submission} inet n - n - - smtpd"]
        services.append(
            f"127.0.0.1:{self.mx} inet n - n - - smtpd -o smtpd_tls_security_level=none"
            " -o smtpd_sasl_auth_enable=no -o smtpd_relay_restrictions="
            f" -o smtpd_recipient_restrictions=check_recipient_access,texthash:{here}/refused,"
            "reject_unauth_destination"
        )
        services += [f"{name} {how}" for name, how in DAEMONS.items()]
        (here / "master.cf").write_text("\n".join([*services, ""]))
        (here / "mailboxes").write_text("".join(f"{one} {one}/\n" for one in readers))
        domain = REPLIES.replace(".", r"\.")
        (here / "replies").write_text(f"/^(reply|unsub|bounce)\\+.*@{domain}$/ replies/\n")
        given_back = [f"{address} error:{why}\n" for address, why in faulty.items()]
        relay = f"{self.relayed} smtp:[127.0.0.1]:{self.exim}\n"
        (here / "faulty").write_text("".join([*given_back, relay]))
        (here / "refused").write_text(
            "".join(f"{name}@{self.relayed} {why}\n" for name, why in REFUSED.items())
        )

    def _write_dovecot(self) -> None:
        here, pem = self._dovecot, self.folder / "server.pem"
        (here / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}:{OWNER}:{OWNER}::/nowhere\n")
        (here / "dovecot.conf").write_text(f"""
base_dir = {here}/run
state_dir = {here}/state
log_path = {here}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{pem}
ssl_key = <{pem}
mail_location = maildir:{self.maildirs}/replies
first_valid_uid = {OWNER}
first_valid_gid = {OWNER}
auth_mechanisms = plain login
passdb {{
  driver = passwd-file
  args = {here}/users
}}
userdb {{
  driver = passwd-file
  args = {here}/users
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {self.imap}
    ssl = yes
  }}
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {self.auth}
  }}
}}
service stats {{
  client_limit = 1000
}}
""")

    def _run(self, *words: str) -> None:
        # A file and no pipe: what is started keeps it open.
        with (self.folder / "said").open("a") as said:
            subprocess.run(words, check=True, stdout=said, stderr=said, timeout=60)
