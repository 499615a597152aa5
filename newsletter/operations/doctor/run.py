"""Run all checks of `newsletter doctor`.

    settings ─ wrong? ─ report all faults and stop
    this machine    local.py
    outside, at once, each in its own thread
        provider of mail    mailers/*_check.py      key or login, a trial, webhooks, DNS
        model's vendor      scorers/claude/check.py
        arXiv               sources/arxiv/check.py
        name servers        dns.py
        pages and webhooks  endpoints.py
        price               cost.py

No check changes anything, costs anything, or delivers mail.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from newsletter import mailers, scorers, sources
from newsletter.delivery import identity
from newsletter.delivery.personalize import Personalizer
from newsletter.domain.addresses import ascii_domain
from newsletter.domain.findings import (
    CheckError,
    CheckResult,
    DnsRecord,
    Finding,
    FindingState,
    fail,
    ok,
    warn,
)
from newsletter.domain.links import TEST_READER
from newsletter.domain.mail import Subscription
from newsletter.domain.model import Coverage, DayKind, Digest, Rubric
from newsletter.errors import OperatorError
from newsletter.logs import Redactor, secrets_of
from newsletter.mailers.imap import ImapMailbox
from newsletter.operations.doctor import dns, endpoints, local
from newsletter.operations.doctor.cost import forecast, reader_rubrics_found
from newsletter.operations.doctor.dns import DnsResolver
from newsletter.render import Renderer
from newsletter.scorers import SCORERS
from newsletter.store import StoreError
from newsletter.store.reports import reader_rubrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from newsletter.mailers import MailCheck
    from newsletter.settings import Settings
    from newsletter.store import Store

SAMPLE = Rubric(slug="sample", title="Sample", categories=("cs.LG",), criteria=())
ANSWER_SECONDS = 8.0
"""For one response from outside."""
ALL_SECONDS = 30.0
"""For all of them together; checks without a response by then fail."""


class Question(NamedTuple):
    """A check that may wait for a response; `check` names it if none comes."""

    check: str
    ask: Callable[[], CheckResult]


@dataclass
class _Results:
    """Results of the checks, filled by their threads."""

    found: dict[str, tuple[CheckResult, datetime]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


def examine(
    settings: Settings,
    clock: Callable[[], datetime],
    *,
    offline: bool,
    all_seconds: float = ALL_SECONDS,
) -> list[Finding]:
    """Every finding, in the order in which to fix them."""
    found = local.settings_found(settings)
    if any(one.state is FindingState.FAIL for one in found):
        return _clean(settings, found)
    try:
        store = local.opened(settings)
    except StoreError as error:
        return _clean(settings, [*found, fail("database", str(error), "see its folder's rights")])
    found += _here(settings, clock())
    outside = [] if offline else list(_outside(settings, clock))
    questions = [*_stored(settings, store, clock, offline=offline), *outside]
    told, offsets = _ask_all(questions, clock, all_seconds)
    # The pages of this service do not prove the time, and a trial run asks no other server.
    if any(question.check != "pages" for question in outside):
        found.append(local.clock_found(offsets))
    if store:
        store.close()
    return _clean(settings, found + told)


def examine_key(settings: Settings) -> list[Finding]:
    """The check of the scorer's key alone."""
    ask = partial(resolve_name(scorers.CHECKS[settings.scorer_name]), settings, ANSWER_SECONDS)
    return _examine(settings, Question(f"{settings.scorer_name} key", ask))


def examine_mail(settings: Settings, clock: Callable[[], datetime]) -> list[Finding]:
    """The login at the provider of mail and, where it works, a trial mail to the operator."""
    name = settings.mailer_name
    check: MailCheck = resolve_name(mailers.CHECKS[name])(settings, ANSWER_SECONDS)
    found = _examine(settings, Question(f"{name} account", check.account))
    if any(one.state is FindingState.FAIL for one in found):
        return found
    trial = Question(f"{name} mail", partial(_would_take, settings, check, clock))
    return found + _examine(settings, trial)


def _examine(settings: Settings, question: Question) -> list[Finding]:
    try:
        return _clean(settings, question.ask().findings)
    except OperatorError as error:
        return _clean(settings, [fail(question.check, str(error), "")])


def _here(settings: Settings, now: datetime) -> Iterator[Finding]:
    yield from local.disk_found(settings)
    yield local.zone_found(settings, now)
    yield from local.rubrics_found(settings)[1]
    yield from local.keys_found(settings)
    yield from local.operator_found(settings)


def _stored(
    settings: Settings, store: Store | None, clock: Callable[[], datetime], *, offline: bool
) -> Iterator[Question]:
    """Checks of the database, which may be on a machine that does not respond."""

    def database() -> CheckResult:
        rubrics, _ = local.rubrics_found(settings)
        found, reading = local.database_found(store), local.readers(store)
        if not (rubrics or rubrics.faults) or reading is None:
            return CheckResult((found,))
        files = {*rubrics, *rubrics.faults}
        shared = local.shared_settings_found(settings, store, rubrics) if store else ()
        own = _reader_rubrics(settings, store, clock()) if store else ()
        return CheckResult((found, local.readers_found(files, reading), *own, *shared))

    yield Question("database", database)
    if store:
        yield _price(settings, store, clock, offline=offline)


def _reader_rubrics(settings: Settings, store: Store, now: datetime) -> Sequence[Finding]:
    with suppress(StoreError), store.read() as tx:
        own = reader_rubrics.totals(tx, now)
        writers = reader_rubrics.count_writers(tx)
        free = settings.scorer_name != "claude"
        return tuple(reader_rubrics_found(own, writers, settings, free=free))
    return ()


def _outside(settings: Settings, clock: Callable[[], datetime]) -> Iterator[Question]:
    scorer, source = settings.scorer_name, settings.source
    if scorer in scorers.CHECKS:
        ask = resolve_name(scorers.CHECKS[scorer])
        yield Question(f"{scorer} key", partial(ask, settings, ANSWER_SECONDS))
    carrier = settings.mailer_name
    if carrier in mailers.CHECKS:
        check: MailCheck = resolve_name(mailers.CHECKS[carrier])(settings, ANSWER_SECONDS)
        yield Question(f"{carrier} account", check.account)
        yield Question(f"{carrier} mail", partial(_would_take, settings, check, clock))
        # Mail to oneself needs no records of one's own domain, and no page can be posted to.
        if not settings.operator_only:
            yield Question("dns", partial(_names, settings, check))
            yield Question("webhooks", check.hooks)
    if settings.imap_url.get_secret_value():
        yield Question("imap login", partial(_mailbox, settings))
    if source in sources.CHECKS:
        ask = resolve_name(sources.CHECKS[source])
        yield Question(source, partial(ask, settings, ANSWER_SECONDS))
    yield Question("pages", partial(endpoints.check, settings, ANSWER_SECONDS))


def _price(
    settings: Settings, store: Store, clock: Callable[[], datetime], *, offline: bool
) -> Question:
    def ask() -> CheckResult:
        rubrics, _ = local.rubrics_found(settings)
        reading = local.readers(store) or {}
        wanted = [rubric for slug, rubric in rubrics.items() if slug in reading]
        if not wanted:
            return CheckResult()
        scorer = resolve_name(SCORERS[settings.scorer_name])(settings)
        return CheckResult((forecast(store, scorer, wanted, settings, clock(), offline=offline),))

    return Question("price", ask)


def _would_take(settings: Settings, check: MailCheck, clock: Callable[[], datetime]) -> CheckResult:
    """A digest without papers for the operator, made as every other, with links that do nothing."""
    to, now = settings.operator_email, clock()
    if not to:
        fix = "set NEWSLETTER_OPERATOR_EMAIL"
        name = f"{settings.mailer_name} mail"
        return CheckResult((warn(name, "not tried: there is no operator to address it to", fix),))
    digest = Digest(SAMPLE, now.date(), DayKind.NOTHING_MET, (), (), Coverage(0), ())
    copies = Personalizer(
        Renderer(identity.site_info(settings)),
        identity.links(settings),
        identity.sender_of(settings),
        digest,
        None,
    )
    reader = Subscription(id=TEST_READER, email=to, rubric=SAMPLE.slug, since=now)
    return check.check_mail(copies.email(reader, uuid4().hex, now))


def _mailbox(settings: Settings) -> CheckResult:
    where = ImapMailbox(settings, timeout=ANSWER_SECONDS).check_login()
    return CheckResult((ok("imap login", f"{where} takes our login, over TLS"),))


def _names(settings: Settings, check: MailCheck) -> CheckResult:
    """DNS records of the sending domain and of the reply domain."""
    ask, domain = DnsResolver(settings.dns_server).ask, local.sending_domain(settings)
    if finding := dns.sender(domain):
        return CheckResult((finding,))
    host, operator = ascii_domain(settings.reply_host), settings.operator_email
    reading = {
        "by_sendgrid": bool(settings.inbound_secret.get_secret_value()),
        "by_imap": bool(settings.imap_url.get_secret_value()),
    }
    signed = _signed(settings, check, domain)
    looks: list[Callable[[dns.Ask], Iterable[Finding]]] = [
        signed,
        lambda ask: [dns.dmarc(ask, domain, operator)],
        lambda ask: [dns.reply_mx(ask, host, domain, **reading)],
    ]
    return CheckResult(tuple(one for look in looks for one in dns.looked(ask, look)))


def _signed(
    settings: Settings, check: MailCheck, domain: str
) -> Callable[[dns.Ask], Iterable[Finding]]:
    """SPF and DKIM: by the provider's records, by usual selectors, or for a server of our own."""
    if settings.mailer_name == "smtp":
        server = urlsplit(settings.smtp_url.get_secret_value()).hostname or ""
        return lambda ask: [
            dns.spf_of_our_own(ask, domain, server),
            dns.own_dkim(),
        ]
    try:
        wanted = check.records()
    except CheckError as error:
        why = str(error)
        return lambda ask: dns.by_selectors(ask, domain, why)
    return lambda ask: dns.by_provider(ask, wanted)


def _ask_all(
    questions: Sequence[Question], clock: Callable[[], datetime], seconds: float
) -> tuple[list[Finding], list[float]]:
    """The answers in the order of the questions, and the seconds by which our clock is ahead."""
    results, threads = _Results(), []
    for question in questions:
        # Daemon threads: a check without a response must not keep the command from ending.
        thread = threading.Thread(target=_ask, args=(question, clock, results), daemon=True)
        thread.start()
        threads.append(thread)
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    found: list[Finding] = []
    offsets = []
    for question in questions:
        without = _no_result(question, results, seconds), None
        result, at = results.found.get(question.check, without)
        found += result.findings
        if at and result.date:
            offsets.append((at - result.date).total_seconds())
    return found, offsets


def _ask(question: Question, clock: Callable[[], datetime], results: _Results) -> None:
    try:
        results.found[question.check] = _result(question), clock()
    finally:
        results.ended.add(question.check)


def _result(question: Question) -> CheckResult:
    try:
        return question.ask()
    except OperatorError as problem:
        return CheckResult((fail(question.check, str(problem), ""),))


def _no_result(question: Question, results: _Results, seconds: float) -> CheckResult:
    if question.check in results.ended:
        said, fix = "this check itself failed", "please report what NEWSLETTER_DEBUG=1 shows"
    else:
        said, fix = f"no answer within {seconds:.0f} s", "try again; check outbound network access"
    return CheckResult((fail(question.check, said, fix),))


def _clean(settings: Settings, found: Sequence[Finding]) -> list[Finding]:
    """Put each text on one line and redact secrets: a server's answer may repeat one."""
    redact = Redactor(secrets_of(settings)).secrets

    def text(raw: str) -> str:
        return " ".join("".join(c if c.isprintable() else " " for c in redact(raw)).split())

    return [
        replace(
            one,
            said=text(one.said),
            fix=text(one.fix),
            records=tuple(
                DnsRecord(text(record.host), text(record.type), text(record.value), record.stands)
                for record in one.records
            ),
        )
        for one in found
    ]
