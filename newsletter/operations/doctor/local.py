"""Checks on this machine: settings, database, disk, clock, rubrics, keys."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pkgutil import resolve_name
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from newsletter.domain.addresses import ascii_domain
from newsletter.domain.categories import category_warnings
from newsletter.domain.findings import Finding, fail, ok, warn
from newsletter.domain.formatting import plural
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.domain.shared_settings import list_names
from newsletter.mailers import MAILERS
from newsletter.mailers.imap import ImapMailbox
from newsletter.operations import shared_settings
from newsletter.rubrics.file import RubricError
from newsletter.rubrics.folder import RubricFolder
from newsletter.scorers import SCORERS
from newsletter.settings import (
    Settings,
    SettingsError,
    dbos_faults,
    require_mail_settings,
    setting_warnings,
)
from newsletter.sources import SOURCES
from newsletter.store import Store, StoreAddressError, StoreError, sqlite_file, subscriptions
from newsletter.store.database import diagnostics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from newsletter.store.database.diagnostics import DatabaseDiagnostics

MEGABYTE = 2**20
TOO_LITTLE = 100 * MEGABYTE
SMALLEST_SECRET = 20
NEAR = {"localhost", "127.0.0.1", "::1"}
SLOW, WRONG = 30.0, 300.0
"""Seconds. Beyond ten minutes every signed webhook would be refused."""
OLDEST = {"SQLite": (3, 35), "PostgreSQL": (13,)}
"""RETURNING, and gen_random_uuid without an extension."""


def settings_found(settings: Settings) -> list[Finding]:
    """Every fault of the settings that stops a daily run from starting."""
    faults = list(_faults(settings))
    if faults:
        return [fail("settings", fault, "") for fault in dict.fromkeys(faults)]
    said = f"scored by {settings.scorer_name}, mailed by {settings.mailer_name}"
    return [ok("settings", said), *_setting_warnings(settings), *_trial_settings(settings)]


def _setting_warnings(settings: Settings) -> Iterator[Finding]:
    for one in setting_warnings(settings):
        said, _, fix = one.partition("; ")
        yield warn("settings", said, fix)


def _trial_settings(settings: Settings) -> Iterator[Finding]:
    """Warnings for defaults that are for a trial, unless they were set by name."""
    if settings.scorer_name == "local" and not settings.scorer:
        said = "not yet: papers are ranked on this machine by their words, no model reads them"
        yield warn("scorer", said, "step 2 of docs/operating.md: ANTHROPIC_API_KEY")
    if settings.mailer_name == "outbox" and not settings.mailer:
        said = f"not yet: mail is written to {settings.outbox_dir}, and nobody gets any"
        yield warn("mailer", said, "step 5 of docs/operating.md: SENDGRID_API_KEY, or SMTP")


def _faults(settings: Settings) -> Iterator[str]:
    makers: list[Callable[[], object]] = [
        lambda: require_mail_settings(settings),
        lambda: sqlite_file(settings.database_url.get_secret_value()),
        lambda: resolve_name(SOURCES[settings.source])(settings),
        lambda: resolve_name(SCORERS[settings.scorer_name])(settings),
        lambda: ImapMailbox(settings) if settings.imap_url.get_secret_value() else None,
    ]
    if settings.mailer_name != "smtp" or settings.smtp_url.get_secret_value():
        makers.append(lambda: resolve_name(MAILERS[settings.mailer_name])(settings))
    for make in makers:
        try:
            make()
        except SettingsError as error:
            yield from error.faults
        except StoreAddressError as error:
            yield str(error)
    yield from dbos_faults(settings)


def shared_settings_found(
    settings: Settings, store: Store, rubrics: RubricFolder
) -> Iterator[Finding]:
    """Whether this machine has the settings of the process that plans."""
    own = shared_settings.of_settings(settings, store, rubrics)
    if own is None:
        return
    with store.read() as tx:
        names = own.differences(tx)
    if names:
        said = f"not the same as in the process that plans: {list_names(names)}"
        yield warn("shared settings", said, shared_settings.FIX)
    elif names is not None:
        yield ok("shared settings", "the same as those of the process that plans")


def operator_found(settings: Settings) -> Iterator[Finding]:
    if not settings.operator_email and settings.mailer_name != "outbox":
        said = "nobody is told when something goes wrong"
        yield warn("operator", said, "set NEWSLETTER_OPERATOR_EMAIL")
    where = urlsplit(settings.public_url)
    in_clear = where.scheme != "https" and where.hostname not in NEAR
    if settings.operator_password.get_secret_value() and in_clear:
        said = "its password travels in the clear"
        yield warn("operator page", said, "reach the pages by https")
    if settings.operator_header:
        said = f"whoever sends {settings.operator_header} is the operator"
        fix = "be sure that your proxy strips it from what comes in, and that only it reaches us"
        yield warn("operator page", said, fix)


def opened(settings: Settings) -> Store | None:
    """The database; None if its file does not exist, because opening would create it.

    Raises StoreError if its folder cannot be read.
    """
    url = settings.database_url.get_secret_value()
    file = sqlite_file(url)
    with suppress(PermissionError):
        if file is not None and not file.is_file():
            return None
    return Store(url)


def database_found(store: Store | None) -> Finding:
    if store is None:
        fix = "newsletter migrate makes it, and so does the first import of readers"
        return warn("database", "it is not there yet", fix)
    try:
        found = diagnostics.diagnose(store)
    except StoreError as error:
        return fail("database", str(error), "see NEWSLETTER_DATABASE_URL")
    return _judged(found)


def _judged(found: DatabaseDiagnostics) -> Finding:
    name, _, version = found.server.partition(" ")
    said = f"{found.server}, schema {found.revision or 'empty'}, {_bytes(found.size)}"
    if _parts(version) < OLDEST[name]:
        needed = ".".join(map(str, OLDEST[name]))
        return fail("database", said, f"use {name} {needed} or newer")
    if found.revision > found.needed:
        return fail("database", f"{said}, we know {found.needed}", "install the newer release")
    if found.revision != found.needed:
        return warn("database", f"{said}, {found.needed} is needed", "newsletter migrate")
    return ok("database", said)


def disk_found(settings: Settings) -> Iterator[Finding]:
    file = sqlite_file(settings.database_url.get_secret_value())
    places = {file.absolute().parent: "database"} if file else {}
    if settings.mailer_name == "outbox":
        places.setdefault(settings.outbox_dir.absolute(), "outbox")
    for wanted, what in places.items():
        place = _existing(wanted)
        writable = os.access(place, os.W_OK | os.X_OK)
        little = int(settings.disk_free_gb * 1e9)
        yield disk_space(shutil.disk_usage(place).free, little, place, what, writable=writable)


def disk_space(free: int, little: int, place: Path, what: str, *, writable: bool) -> Finding:
    """The free space by the file system's figures (pure). Sizes in bytes; `little` is the limit."""
    if not writable:
        fix = f"make {place} writable for the user that runs the service"
        return fail("disk", f"{place} cannot be written", fix)
    said = f"{_bytes(free)} free where the {what} lies"
    if free < TOO_LITTLE:
        return fail("disk", said, f"make room in {place}")
    if free < little:
        return warn("disk", said, f"make room in {place} soon")
    return ok("disk", said)


def _existing(place: Path) -> Path:
    """The folder, or the nearest one above it that is there and may be looked at."""
    for one in (place, *place.parents):
        with suppress(PermissionError):
            if one.is_dir():
                return one
    return place.parents[-1]


def zone_found(settings: Settings, now: datetime) -> Finding:
    here = now.astimezone(settings.zone)
    said = f"{here:%Y-%m-%d %H:%M} in {settings.timezone}; mails leave from "
    return ok("zone", f"{said}{settings.send_at:%H:%M} there, but for readers with their own hour")


def clock_found(offsets: Sequence[float]) -> Finding:
    """`offsets` are the seconds by which our clock is ahead of servers that sent a Date."""
    if not offsets:
        said = "nobody answered with a date to compare with"
        return warn("clock", said, "mend what else fails outside, and ask again")
    best = min(offsets, key=abs)
    said = f"{abs(best):.0f} s {'ahead of' if best > 0 else 'behind'} the servers asked"
    if abs(best) > SLOW:
        fix = "let the machine follow a time server (timedatectl set-ntp true)"
        return (fail if abs(best) > WRONG else warn)("clock", said, fix)
    return ok("clock", "in step with the servers asked")


def rubrics_found(settings: Settings) -> tuple[RubricFolder, list[Finding]]:
    found = RubricFolder(settings.rubrics_dir)
    try:
        found.require_any()
    except RubricError as error:
        return found, [
            fail("rubrics", fault, "newsletter rubrics check FILE") for fault in error.faults
        ]
    wrong = [
        fail("rubrics", fault, f"newsletter rubrics check {found.folder / slug}.md")
        for slug, faults in found.faults.items()
        for fault in faults
    ]
    valid = [ok("rubrics", f"{len(found)} in {settings.rubrics_dir}")] if found else []
    return found, [*wrong, *valid, *_category_warnings(found)]


def _category_warnings(rubrics: RubricFolder) -> Iterator[Finding]:
    for slug, rubric in sorted(rubrics.items()):
        for warning in category_warnings(rubric.categories):
            said, _, fix = warning.partition(": ")
            yield warn("rubrics", f"{slug}.md: {said}", fix)


def readers(store: Store | None) -> dict[str, int] | None:
    """How many read each rubric; None while there is no database to ask."""
    if store is not None:
        with suppress(StoreError), store.read() as tx:
            return subscriptions.count_by_rubric(tx)
    return None


def readers_found(rubrics: Collection[str], reading: dict[str, int]) -> Finding:
    """Readers of each rubric by file names and subscriptions (pure); a reader may have several."""
    own = [slug for slug in reading if is_reader_rubric(slug)]
    reading = {slug: number for slug, number in reading.items() if slug not in own}
    lost = [slug for slug in reading if slug not in rubrics]
    if lost:
        lone = plural(sum(reading[slug] for slug in lost), "subscription")
        said = f"no file for {', '.join(sorted(lost))}, with {lone}"
        return fail("readers", said, "put the file back, or move its readers to another rubric")
    idle = [slug for slug in rubrics if slug not in reading]
    if not reading and not own:
        return warn("readers", "there are none yet", "newsletter subscribers import FILE --consent")
    total = plural(sum(reading.values()), "subscription")
    said = f"{total} to {plural(len(reading), 'rubric')}"
    said += f", and {len(own)} to rubrics of their own" if own else ""
    if idle:
        return ok("readers", f"{said}; none of {', '.join(sorted(idle))}, which costs nothing")
    return ok("readers", said)


def keys_found(settings: Settings) -> Iterator[Finding]:
    """Whether the webhook keys and the secret key have the right form."""
    if settings.mailer_name == "sendgrid" and not settings.sendgrid_event_key:
        fix = "set NEWSLETTER_SENDGRID_EVENT_KEY to the key its Event Webhook page shows"
        yield warn("event key", "bounces and complaints are not heard", fix)
    keys = {
        "event key": ("NEWSLETTER_SENDGRID_EVENT_KEY", settings.sendgrid_event_key),
        "inbound key": ("NEWSLETTER_SENDGRID_INBOUND_KEY", settings.sendgrid_inbound_key),
    }
    for check, (name, value) in keys.items():
        # Loaded with all that parses mail, which few commands that open a database need.
        from newsletter.inbound.sendgrid_webhooks import is_public_key

        wrong = [one for one in value.split(",") if not is_public_key(one.strip())]
        if value and wrong:
            yield fail(check, f"{name} is no public key", "copy it anew: base64, without lines")
        elif value:
            yield ok(check, "a public key")
    secret = settings.inbound_secret.get_secret_value()
    if secret and (len(secret) < SMALLEST_SECRET or not secret.isalnum() or not secret.isascii()):
        fix = f"set NEWSLETTER_INBOUND_SECRET to {SMALLEST_SECRET} or more letters and digits"
        yield fail("inbound secret", "it is short, or would not stand in an address", fix)


def sending_domain(settings: Settings) -> str:
    return ascii_domain(settings.from_email.rpartition("@")[2])


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _bytes(count: int) -> str:
    if count >= 1024 * MEGABYTE:
        return f"{count / 1024 / MEGABYTE:,.1f} GB"
    return f"{count / MEGABYTE:,.1f} MB"
