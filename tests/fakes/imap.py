"""A mailbox on loopback that speaks as much IMAP over TLS as a reader of unseen mail needs."""

from __future__ import annotations

import contextlib
import re
import ssl
from base64 import b64decode
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler
from typing import TYPE_CHECKING

from tests.fakes.loopback import Loopback, TcpServer
from tests.fakes.tls import make_certificate

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Kept:
    """One mail in the folder; `size` is what the server claims, if it claims something else."""

    raw: bytes
    flags: set[str] = field(default_factory=set)
    size: int = 0


@dataclass
class FakeImap(Loopback):
    """`answers` overrides the reply to a verb (LOGIN, SELECT, UID SEARCH, UID FETCH, UID STORE),
    and to "SEARCH by recipient".

    The value "drop" closes the connection, "stall" never answers.
    """

    kind = TcpServer
    folder: Path
    mails: list[Kept] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.certificate = make_certificate(self.folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate)
        self.bind(_Handler)
        self.url = f"imaps://reader:secret%40word@127.0.0.1:{self.port}/Replies"

    def put(self, raw: bytes, **options: int) -> Kept:
        self.mails.append(Kept(raw, **options))
        return self.mails[-1]

    @property
    def verbs(self) -> list[str]:
        return [command.split(" ")[0] for command in self.commands]


def _matches(mail: Kept, keys: list[str]) -> bool:
    """Whether all keys of a SEARCH hold (RFC 9051, 6.4.4); an unknown one is a fault of the test's.

    Each is taken off the list when it was read.
    """
    held = [_holds(mail, keys)]
    while keys:
        held.append(_holds(mail, keys))
    return all(held)


def _holds(mail: Kept, keys: list[str]) -> bool:
    key = keys.pop(0)
    if key == "UNSEEN":
        return "\\Seen" not in mail.flags
    if key == "OR":
        either = [_holds(mail, keys), _holds(mail, keys)]
        return any(either)
    assert key == "HEADER", key
    name, part = keys.pop(0), keys.pop(0).strip('"').lower()
    head = mail.raw.partition(b"\r\n\r\n")[0].decode(errors="replace").lower()
    lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    return any(part in line for line in lines if line.startswith(f"{name.lower()}:"))


class _Handler(StreamRequestHandler):
    server: TcpServer

    def handle(self) -> None:
        self.fake = self.server.fake
        with contextlib.suppress(OSError):
            self.connection = self.fake.context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)
            self._say("* OK IMAP4rev1 at your service")
            while (line := self.rfile.readline()) and self._obey(line.decode().rstrip("\r\n")):
                pass
        with contextlib.suppress(OSError):
            self.connection.close()

    def _obey(self, line: str) -> bool:
        tag, command = line.split(" ", 1)
        self.fake.commands.append(command)
        verb = " ".join(command.split(" ")[: 2 if command.startswith("UID") else 1])
        searched = "SEARCH by recipient" if verb == "UID SEARCH" and "HEADER" in command else verb
        told = self.fake.answers.get(searched, "")
        if told == "drop":
            return False
        if told == "stall":
            self.fake.closing.wait(300)
            return False
        if not told:
            self._tell(verb, command)
        self._say(f"{tag} {told or 'OK done'}")
        return verb != "LOGOUT"

    def _tell(self, verb: str, command: str) -> None:
        if verb == "CAPABILITY":
            self._say("* CAPABILITY IMAP4rev1")
        elif verb == "AUTHENTICATE":
            self._say("+ ")
            self.fake.secrets.append(b64decode(self.rfile.readline()).decode())
        elif verb == "SELECT":
            self._say(f"* {len(self.fake.mails)} EXISTS")
        elif verb == "UID SEARCH":
            keys = re.findall(r'"[^"]*"|\S+', command)[2:]
            found = [n for n, m in enumerate(self.fake.mails, 1) if _matches(m, list(keys))]
            self._say(" ".join(["* SEARCH", *map(str, found)]))
        elif verb == "UID FETCH":
            self._fetch(int(command.split(" ")[2]), command)
        elif verb == "UID STORE":
            mail = self.fake.mails[int(command.split(" ")[2]) - 1]
            mail.flags |= set(re.findall(r"\\\w+", command))
        elif verb == "LOGOUT":
            self._say("* BYE")

    def _fetch(self, uid: int, command: str) -> None:
        mail = self.fake.mails[uid - 1]
        if "PEEK" not in command:
            mail.flags.add("\\Seen")
        what = mail.raw
        if "HEADER" in command:
            what = what.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        part = re.search(r"BODY\.PEEK\[\](?:<(\d+)\.(\d+)>)?", command)
        if part and part[2]:
            what = what[int(part[1]) :][: int(part[2])]
        size = mail.size or len(mail.raw)
        start = f"* {uid} FETCH (UID {uid} RFC822.SIZE {size} BODY[] {{{len(what)}}}"
        self.wfile.write(start.encode() + b"\r\n" + what + b")\r\n")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
