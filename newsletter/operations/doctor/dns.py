"""SPF, DKIM, DMARC and MX: what the name servers say of the sending domain, and what they should.

Receivers ask bulk senders for SPF and DKIM, and for DMARC aligned with one of them
(support.google.com/a/answer/14229414). `ask(host, type)` answers like `DnsResolver.ask`.

Questions to the name servers, by dnspython (dnspython.readthedocs.io).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

from newsletter.domain.findings import CheckError, DnsRecord, Finding, fail, ok, warn
from newsletter.domain.formatting import plural
from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import dns.resolver

Ask = Callable[[str, str], list[str]]

SENDGRID_MX = "mx.sendgrid.net"
SELECTORS = ("s1", "s2")
"""What SendGrid signs with where nothing else was chosen."""
FREE_MAIL = re.compile(
    r"(gmail|googlemail|outlook|hotmail|live|msn|yahoo|ymail|aol|icloud|me|mac|gmx|web|proton"
    r"|protonmail|mail|qq|163|126|yandex)\.[a-z.]{2,6}"
)
SPF = re.compile(r"v=spf1( |$)", re.IGNORECASE)
DMARC = re.compile(r"\s*v\s*=\s*DMARC1\s*(;|$)", re.IGNORECASE)
POLICY = re.compile(r"\bp\s*=\s*(none|quarantine|reject)\b", re.IGNORECASE)
NO_ANSWER_FIX = "ask again; see the name servers of this machine, or set NEWSLETTER_DNS_SERVER"
AT_SENDGRID = "Settings > Sender Authentication at SendGrid shows it"


def sender(domain: str) -> Finding | None:
    """A failure if the From domain is that of a mailbox provider; otherwise nothing."""
    if not FREE_MAIL.fullmatch(domain):
        return None
    return fail(
        "from",
        f"{domain} is not yours: its owner's DMARC policy refuses mail that we send",
        "set NEWSLETTER_FROM_EMAIL to an address of a domain of your own",
    )


def dmarc(ask: Ask, domain: str, operator: str) -> Finding:
    reports = f"; rua=mailto:{operator}" if operator else ""
    wanted = DnsRecord(f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=none{reports}")
    for parent in _lineage(domain):
        host = f"_dmarc.{parent}"
        found = [text for text in ask(host, "TXT") if DMARC.match(text)]
        if len(found) > 1:
            return fail("dmarc", f"{len(found)} records at {host}: then none counts", "keep one")
        if found and not POLICY.search(found[0]):
            fix = "write p=none, p=quarantine or p=reject into it"
            return fail("dmarc", f"the record at {host} names no policy", fix, wanted)
        if found:
            stands = DnsRecord(host, "TXT", found[0], stands=True)
            return ok("dmarc", f"policy at {host}: {_policy(found[0])}", stands)
    return fail("dmarc", f"no record at _dmarc.{domain} or above it", "set the record", wanted)


def spf_of_our_own(ask: Ask, domain: str, server: str) -> Finding:
    """SPF where we name the domain itself as the sender, as we do by SMTP."""
    found = [text for text in ask(domain, "TXT") if SPF.match(text)]
    if not found:
        fix = f"set the record, or the one that the owner of {server} names for it"
        wanted = DnsRecord(domain, "TXT", f"v=spf1 {_sends(server)} ~all")
        return fail("spf", f"no record at {domain}", fix, wanted)
    stands = [DnsRecord(domain, "TXT", text, stands=True) for text in found]
    if len(found) > 1:
        said = f"{len(found)} records at {domain}: then none counts"
        return fail("spf", said, "join them into one", *stands)
    terms = found[0].lower().split()
    if "all" in terms or "+all" in terms:
        said = f"the record at {domain} lets everybody send in its name"
        return fail("spf", said, "end it with ~all", *stands)
    ended = terms[-1] in {"~all", "-all", "?all"} or any(t.startswith("redirect=") for t in terms)
    if not ended:
        return warn("spf", f"the record at {domain} says nothing of others", "end it with ~all")
    return ok("spf", f"one record at {domain}", *stands)


def _sends(server: str) -> str:
    """The SPF mechanism of a server, with a placeholder for the address of this machine."""
    try:
        address = ip_address(server)
    except ValueError:
        return f"a:{server}" if server != "localhost" else "ip4:ADDRESS-OF-THIS-MACHINE"
    if address.is_loopback:
        return "ip4:ADDRESS-OF-THIS-MACHINE"
    return f"ip{address.version}:{address}"


def by_provider(ask: Ask, wanted: Sequence[DnsRecord]) -> Iterator[Finding]:
    """SPF and DKIM where the provider named the records it wants, one line for each of both."""
    keys = [record for record in wanted if "._domainkey." in record.host]
    rest = [record for record in wanted if record not in keys]
    for check, named in (("spf", rest), ("dkim", keys)):
        records = [record._replace(stands=_stands(ask, record)) for record in named]
        wrong = [record for record in records if not record.stands]
        if not records:
            said = "the provider does not know the From domain: mail does not pass for yours"
            yield fail(check, said, "Settings > Sender Authentication > Authenticate Your Domain")
        elif wrong:
            hosts = ", ".join(record.host for record in wrong)
            yield fail(check, f"missing or different: {hosts}", "set the records", *records)
        else:
            yield ok(check, f"{plural(len(records), 'record')} as the provider wants it", *records)


def by_selectors(ask: Ask, domain: str, why: str) -> Iterator[Finding]:
    """DKIM by SendGrid's usual selectors, if the provider did not name its records: `why`."""
    yield warn(
        "spf",
        f"not looked at: {why}",
        "give SENDGRID_API_KEY the right Sender Authentication (read), or compare by hand: "
        f"{AT_SENDGRID}",
    )
    hosts = [f"{selector}._domainkey.{domain}" for selector in SELECTORS]
    records = [_by_its_name(ask, host) for host in hosts]
    missing = [record.host for record in records if not record.stands]
    if missing:
        fix = "set the CNAMEs that SendGrid shows for your domain"
        yield fail("dkim", f"nothing at {', '.join(missing)}", fix, *records)
    else:
        yield ok("dkim", f"keys at {', '.join(hosts)}", *records)


def _by_its_name(ask: Ask, host: str) -> DnsRecord:
    """Whether there is a DKIM key at a name; what the key should be is unknown."""
    found = ask(host, "CNAME")
    stands = bool(found) or _is_key(ask(host, "TXT"))
    return DnsRecord(host, "CNAME", found[0] if found else AT_SENDGRID, stands)


def own_dkim() -> Finding:
    return warn(
        "dkim",
        "which key your mail server signs with cannot be seen from here",
        "newsletter test-send to a mailbox of yours, and look for dkim=pass in its headers",
    )


def reply_mx(ask: Ask, host: str, from_domain: str, *, by_sendgrid: bool, by_imap: bool) -> Finding:
    wanted = DnsRecord(host, "MX", f"10 {SENDGRID_MX}")
    if not by_sendgrid and not by_imap:
        return warn(
            "replies",
            f"nobody reads what is answered to {host}: neither replies nor mailto: unsubscribe",
            "set NEWSLETTER_INBOUND_SECRET (SendGrid's Inbound Parse) or NEWSLETTER_IMAP_URL",
            *([] if host == from_domain else [wanted]),
        )
    found = ask(host, "MX")
    servers = [value.split(" ")[-1] for value in found]
    stands = [DnsRecord(host, "MX", value, stands=True) for value in found]
    if not by_sendgrid:
        if found:
            return ok("replies", f"{host} takes mail", *stands)
        return fail("replies", f"{host} takes no mail: it has no MX", "set its MX to your server")
    if servers == [SENDGRID_MX]:
        return ok("replies", f"{host} leads to SendGrid's Inbound Parse", *stands)
    if servers and host == from_domain:
        return fail(
            "replies",
            f"{host} leads to {', '.join(servers)}, not to SendGrid",
            f"give replies a host of their own: NEWSLETTER_REPLY_DOMAIN=in.{host}, and its MX",
            DnsRecord(f"in.{host}", "MX", f"10 {SENDGRID_MX}"),
        )
    said = f"{host} leads to {', '.join(servers)}" if servers else f"{host} has no MX"
    return fail("replies", said, "set this record alone", wanted)


def looked(ask: Ask, look: Callable[[Ask], Iterable[Finding]]) -> list[Finding]:
    """The result of `look`; a warning with the wanted records if no name server answers."""
    try:
        return list(look(ask))
    except CheckError as error:
        wanted = look(lambda _host, _type: [])
        return [fail(one.check, str(error), NO_ANSWER_FIX, *one.records) for one in wanted]


def _stands(ask: Ask, record: DnsRecord) -> bool:
    found = ask(record.host, record.type)
    if record.type == "TXT":
        return any(_squeezed(text) == _squeezed(record.value) for text in found)
    value = record.value.lower().rstrip(".").split(" ")[-1]
    if any(text.split(" ")[-1] == value for text in found):
        return True
    # Some name servers answer for a CNAME with what stands at its end.
    return record.type == "CNAME" and not found and _is_key(ask(record.host, "TXT"))


def _is_key(texts: Sequence[str]) -> bool:
    return any(re.search(r"\bp\s*=\s*[A-Za-z0-9+/]{20}", text) for text in texts)


def _policy(text: str) -> str:
    found = POLICY.search(text)
    return found[0].lower().replace(" ", "") if found else ""


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text).lower()


def _lineage(domain: str) -> Iterator[str]:
    """The domain and its parent domains, without the top-level domain."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        yield ".".join(labels[start:])


PORT = 53
SECONDS = 4.0
"""For one question, over all servers and repetitions."""


class DnsResolver:
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
