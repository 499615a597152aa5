"""Questions to the name servers, by dnspython (dnspython.readthedocs.io)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.findings import CheckError
from newsletter.settings import SettingsError

if TYPE_CHECKING:
    import dns.resolver

PORT = 53
SECONDS = 4.0
"""For one question, over all servers and repetitions."""


class NameServer:
    """`where` is HOST or HOST:PORT of a server to ask; empty for those of this machine."""

    def __init__(self, where: str = "", seconds: float = SECONDS) -> None:
        self._where = where
        self._seconds = seconds

    def ask(self, host: str, kind: str) -> list[str]:
        """The values at a name, sorted; none where there is no such name or record.

        TXT values are joined from their pieces, names are in small letters without the last dot,
        an MX is `10 mx.example.org`. Raises CheckError when nobody answers.
        """
        import dns.exception
        import dns.name
        import dns.resolver

        try:
            answer = self._resolver().resolve(host, kind, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, ValueError) as error:
            # A label that is too long is a ValueError's child in no release, and one in others.
            message = f"the name server did not answer about {host} ({type(error).__name__})"
            raise CheckError(message) from None
        return sorted(_text(value, kind) for value in answer.rrset or ())

    def _resolver(self) -> dns.resolver.Resolver:
        import dns.resolver

        if not self._where:
            made = dns.resolver.Resolver()
        else:
            # An IPv6 address has colons of its own, and then no port.
            bare = self._where.count(":") != 1
            host, _, port = (self._where, "", "") if bare else self._where.partition(":")
            made = dns.resolver.Resolver(configure=False)
            try:
                made.nameservers = [host]
                made.port = int(port or PORT)
            except ValueError:
                message = "NEWSLETTER_DNS_SERVER: use the IP address of a name server, like 9.9.9.9"
                raise SettingsError(message) from None
        made.lifetime = self._seconds
        return made


def _text(value: object, kind: str) -> str:
    if kind == "TXT":
        pieces: tuple[bytes, ...] = getattr(value, "strings", ())
        return b"".join(pieces).decode("utf-8", "replace")
    return str(value).lower().rstrip(".")
