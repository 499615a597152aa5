"""A name server on loopback: one zone in a dict, over UDP."""

from __future__ import annotations

from socketserver import BaseRequestHandler
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.fakes.loopback import Loopback, UdpServer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 60


class FakeDns(Loopback):
    """`with FakeDns({("example.org", "MX"): ["10 mx.example.org."]}) as names:` at `names.where`.

    Values stand as in a zone file, a TXT in quotes. `silent` names get no answer at all, `broken`
    ones SERVFAIL.
    """

    kind = UdpServer

    def __init__(self, zone: Mapping[tuple[str, str], Sequence[str]]) -> None:
        self.zone = dict(zone)
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.bind(_Handler)
        self.where = f"127.0.0.1:{self.port}"

    def answer(self, wire: bytes) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        host = str(question.name).lower().rstrip(".")
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((host, kind))
        if host in self.silent:
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if host in self.broken:
            reply.set_rcode(dns.rcode.SERVFAIL)
            return reply.to_wire()
        for step in self._chain(host, kind):
            found = dns.rrset.from_text(f"{step[0]}.", SECONDS, "IN", step[1], *self.zone[step])
            reply.answer.append(found)
        if not reply.answer and all(name != host for name, _ in self.zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()

    def _chain(self, host: str, kind: str) -> list[tuple[str, str]]:
        """What answers a question: the record, or the CNAMEs that lead to it."""
        steps: list[tuple[str, str]] = []
        while (host, kind) not in self.zone and (host, "CNAME") in self.zone:
            steps.append((host, "CNAME"))
            host = self.zone[host, "CNAME"][0].lower().rstrip(".")
        return [*steps, (host, kind)] if (host, kind) in self.zone else steps


class _Handler(BaseRequestHandler):
    server: UdpServer

    def handle(self) -> None:
        data, server_socket = self.request
        if (reply := self.server.fake.answer(data)) is not None:
            server_socket.sendto(reply, self.client_address)
