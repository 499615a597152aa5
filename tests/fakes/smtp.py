"""A mail server on loopback with TLS by a certificate of its own, as strict as it is told to be."""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler
from typing import TYPE_CHECKING

from tests.fakes.loopback import Loopback, TcpServer
from tests.fakes.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass
class FakeSmtp(Loopback):
    """`answers` overrides the reply to a verb; "drop" closes the connection instead,
    "stall" answers nothing.

    Verbs are EHLO's keywords, AUTH, MAIL, RCPT, DATA, RSET and, for the message itself, END.
    `later` overrides `answers` on a connection that has taken a mail. After a mail and
    `idle_seconds` without a command a connection ends with 421, as in Postfix, and `timed_out`
    counts it; a message is answered after `delay`.
    """

    kind = TcpServer
    folder: Path
    certificate: Path | None = None
    implicit: bool = False
    starttls: bool = True
    smtputf8: bool = True
    login: bool = True
    answers: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    idle_seconds: float | None = None
    timed_out: int = 0
    delay: float = 0.0
    loses_answer: Callable[[], bool | None] = lambda: None
    """Whether a message is taken whose answer is lost; None: it is answered."""
    connections: int = 0
    messages: list[bytes] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    in_clear: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.certificate = self.certificate or make_certificate(self.folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate)
        self.bind(_Handler)
        scheme = "smtps" if self.implicit else "smtp"
        self.url = f"{scheme}://reader:secret%40word@127.0.0.1:{self.port}"

    @property
    def addresses(self) -> list[str]:
        """Recipients of the messages; twice if a message came twice."""
        return [re.search(rb"(?m)^To: .*<(.+)>", one)[1].decode() for one in self.messages]


class _Handler(StreamRequestHandler):
    server: TcpServer

    def handle(self) -> None:
        self.fake, self.secure = self.server.fake, False
        self.known, self.said, self.taken = not self.fake.login, [], 0
        self.fake.connections += 1
        with contextlib.suppress(OSError, ssl.SSLError):
            if self.fake.implicit:
                self._encrypt()
            self._say("220 fake.example ESMTP")
            while (line := self._line()) and self._obey(line.decode().rstrip("\r\n")):
                pass
        with contextlib.suppress(OSError):
            self.connection.close()

    def _line(self) -> bytes:
        self.connection.settimeout(self.fake.idle_seconds if self.taken else None)
        try:
            return self.rfile.readline()
        except TimeoutError:
            self._say("421 4.4.2 fake.example Error: timeout exceeded")
            self.fake.timed_out += 1
            return b""
        finally:
            self.connection.settimeout(None)

    def _answer_to(self, verb: str) -> str:
        later = self.fake.later.get(verb, "") if self.taken else ""
        return later or self.fake.answers.get(verb, "")

    def _obey(self, line: str) -> bool:
        verb = line.split(" ", maxsplit=1)[0].upper()
        told = self._out_of_turn(verb, line)
        (self.fake.commands if self.secure else self.fake.in_clear).append(line)
        told = told or self._answer_to(verb)
        if told:
            if told == "stall":
                self.fake.closing.wait(300)
            return told not in {"drop", "stall"} and self._say(told) and told[:3] != "421"
        if verb == "EHLO":
            return self._say(*self._keywords())
        if verb == "STARTTLS":
            self._say("220 go ahead")
            self._encrypt()
            return True
        if verb == "AUTH":
            self.known = True
            return self._say("235 welcome")
        self.said = [*self.said, verb] if verb in {"MAIL", "RCPT"} else []
        if verb == "DATA":
            self._say("354 go ahead")
            return self._take()
        ending = verb == "QUIT"
        self._say("221 bye" if ending else "250 fine")
        return not ending

    def _out_of_turn(self, verb: str, line: str) -> str:
        """What a server says to a command that it does not take now (RFC 5321, 4.1.4; 4954, 6)."""
        if verb == "MAIL" and not self.known:
            return "530 5.7.0 Authentication required"
        begun = bool(self.said)
        ready = {"MAIL": not begun, "RCPT": begun, "DATA": "RCPT" in self.said}
        if not ready.get(verb, True):
            return "503 5.5.1 Bad sequence of commands"
        forms = {
            "MAIL": r"MAIL FROM:<[^<>\s]*>( SMTPUTF8)?",
            "RCPT": r"RCPT TO:<[^<>\s]+@[^<>\s]+>",
        }
        return (
            ""
            if re.fullmatch(forms.get(verb, ".*"), line, re.IGNORECASE)
            else "501 5.5.4 Syntax error"
        )

    def _keywords(self) -> list[str]:
        words = ["fake.example"]
        if self.fake.starttls and not self.secure:
            words.append("STARTTLS")
        if self.fake.smtputf8:
            words += ["8BITMIME", "SMTPUTF8"]
        words.append("AUTH PLAIN LOGIN")
        return [f"250-{word}" for word in words[:-1]] + [f"250 {words[-1]}"]

    def _take(self) -> bool:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        told = self._answer_to("END") or "250 queued as 1"
        time.sleep(self.fake.delay)
        if (taken := self.fake.loses_answer()) is not None:
            self.fake.messages += [b"".join(lines)] * taken
            return False
        if told.startswith("250") or told == "drop":
            self.fake.messages.append(b"".join(lines))
        self.taken += 1
        return told != "drop" and self._say(told)

    def _say(self, *lines: str) -> bool:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())
        return True

    def _encrypt(self) -> None:
        self.request = self.fake.context.wrap_socket(self.connection, server_side=True)
        self.connection = self.request
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.secure = True
