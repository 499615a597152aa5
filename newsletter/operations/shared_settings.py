"""Settings that all processes of a service must share: store them, or compare with the planner's.

    planner     stores fingerprints of its settings when it starts, and of rubrics as they change
    the others  compare; a process that differs takes no task and plans nothing

Only on PostgreSQL: an SQLite database belongs to one machine.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pkgutil import resolve_name
from threading import Lock
from typing import TYPE_CHECKING

from newsletter import __version__, process
from newsletter.delivery import identity
from newsletter.domain.shared_settings import (
    RUBRIC,
    differences,
    fingerprint_key,
    fingerprints,
    list_names,
)
from newsletter.rubrics.folder import of_operator, reread
from newsletter.scorers import SCORERS
from newsletter.settings import SettingsError
from newsletter.store import shared_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from newsletter.context import App
    from newsletter.domain.links import Links
    from newsletter.domain.model import Rubric
    from newsletter.settings import Settings
    from newsletter.store import Store

log = logging.getLogger(__name__)

LOG_SECONDS = 60.0
NO_PLANNER = "no planner has stored its settings"
FIX = "give every machine the same settings, rubric files and release, then start the process again"
USED_BY = {
    "sendgrid": ("SENDGRID_API_KEY", "NEWSLETTER_SENDGRID_URL"),
    "smtp": ("NEWSLETTER_SMTP_URL", "NEWSLETTER_SMTP_BOUNCE_ADDRESSES"),
    "claude": (
        *("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "NEWSLETTER_MODEL"),
        *("NEWSLETTER_SECOND_OPINION", "prompt version"),
    ),
}
"""Settings that one mailer or scorer alone uses."""


def own_values(
    settings: Settings, scorer_name: str, rubrics: Mapping[str, Rubric]
) -> dict[str, str]:
    """The values of this process by name, used or not. `scorer_name` ends with its version."""
    values = {
        "NEWSLETTER_MAILER": settings.mailer_name,
        "SENDGRID_API_KEY": settings.sendgrid_api_key.get_secret_value(),
        "NEWSLETTER_SENDGRID_URL": settings.sendgrid_url,
        "NEWSLETTER_SMTP_URL": settings.smtp_url.get_secret_value(),
        "NEWSLETTER_SMTP_BOUNCE_ADDRESSES": settings.smtp_bounce_addresses,
        "NEWSLETTER_SCORER": settings.scorer_name,
        "ANTHROPIC_API_KEY": settings.anthropic_api_key.get_secret_value(),
        "ANTHROPIC_BASE_URL": settings.anthropic_base_url,
        "NEWSLETTER_MODEL": settings.model,
        "NEWSLETTER_SECOND_OPINION": settings.second_opinion,
        "prompt version": scorer_name.rpartition("/")[2],
        "NEWSLETTER_FROM_EMAIL": settings.from_email,
        "NEWSLETTER_FROM_NAME": settings.from_name,
        "NEWSLETTER_POSTAL_ADDRESS": settings.postal_address,
        "NEWSLETTER_OPERATOR_EMAIL": settings.operator_email,
        "NEWSLETTER_OPERATOR_ONLY": settings.operator_only,
        "NEWSLETTER_REPLY_DOMAIN": settings.reply_domain,
        "NEWSLETTER_PUBLIC_URL": settings.public_url,
        "NEWSLETTER_TIMEZONE": settings.timezone,
        "NEWSLETTER_SEND_AT": settings.send_at,
        "NEWSLETTER_READER_RUBRICS": settings.reader_rubrics,
        "release": __version__,
    }
    return {name: str(value) for name, value in values.items()} | {
        f"{RUBRIC}{slug}": repr(rubric) for slug, rubric in rubrics.items()
    }


def unused_names(settings: Settings) -> set[str]:
    """Settings of the mailers and scorers that are not in use."""
    used = {settings.mailer_name, settings.scorer_name}
    return {name for owner, names in USED_BY.items() if owner not in used for name in names}


def of_app(app: App) -> SharedSettings | None:
    """The shared settings of this process; None on SQLite."""
    if app.store.is_sqlite:
        return None
    return SharedSettings(app.settings, app.links, app.scorer.name, app.rubrics)


def of_settings(
    settings: Settings, store: Store, rubrics: Mapping[str, Rubric]
) -> SharedSettings | None:
    """The settings of this machine, for commands that build no app; None on SQLite."""
    if store.is_sqlite:
        return None
    name = ""
    with suppress(SettingsError):  # Of a missing key, which is then named as a difference.
        name = resolve_name(SCORERS[settings.scorer_name])(settings).name
    return SharedSettings(settings, identity.links(settings), name, rubrics)


class SharedSettings:
    """The settings of this process. `owner` is its id in the heartbeats, `role` its role."""

    def __init__(
        self,
        settings: Settings,
        links: Links,
        scorer_name: str,
        rubrics: Mapping[str, Rubric],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._links = links
        self._scorer_name = scorer_name
        # The others are in the database that all processes share.
        self._rubrics = of_operator(rubrics)
        self._monotonic = monotonic
        self._key: tuple[bytes, bytes] | None = None
        self._compared: tuple[int, list[Rubric]] | None = None
        self._differences: list[str] = []
        self._stored_all = False
        self._lock = Lock()
        self._recorded = False
        self._logged: tuple[str, float] | None = None

    def differences(self, tx: Connection) -> list[str] | None:
        """Names of the settings that are not the planner's; None where no planner stored any."""
        stored = shared_settings.stored(tx)
        if stored is None:
            return None
        reread(self._rubrics)
        state = stored.revision, [*self._rubrics.values()]
        with self._lock:
            if self._compared is None or not _same(state, self._compared):
                own, planner = self._fingerprints(stored.salt), shared_settings.fingerprints(tx)
                self._differences = differences(planner, own)
                self._stored_all = self._used(own) == planner
                self._compared = state
            return self._differences

    def store(self, tx: Connection, owner: str, now: datetime) -> None:
        """Make the settings of this process those of the service."""
        stored = shared_settings.stored(tx)
        salt = stored.salt if stored else shared_settings.new_salt()
        shared_settings.store(tx, salt, self._used(self._fingerprints(salt)), owner, now)

    def may_plan(self, tx: Connection, *, replace: bool, now: datetime) -> bool:
        """Whether this process may plan. With `replace` it stores its settings if they are others.

        Those may be more than are stored, without a difference: a new rubric file.
        """
        names = self.differences(tx)
        if names is None or (replace and not self._stored_all):
            self.store(tx, process.process_id(), now)
            return True
        return names == []

    def _used(self, own: Mapping[str, str]) -> dict[str, str]:
        """Without the settings that this process does not use."""
        unused = unused_names(self._settings)
        return {name: mark for name, mark in own.items() if name not in unused}

    def report(self, store: Store, owner: str, role: str, now: datetime) -> bool:
        """Record and log what differs; whether nothing does. Logs at most once a minute."""
        with store.begin() as tx:
            names = self.differences(tx)
            if names == []:
                if self._recorded:
                    shared_settings.clear_differences(tx, owner)
                self._recorded, self._logged = False, None
                return True
            self._recorded = True
            differs = NO_PLANNER if names is None else list_names(names)
            shared_settings.record_differences(
                tx, owner, role, "" if names is None else differs, now
            )
        self._log(owner, role, differs, planned=names is not None)
        return False

    def _log(self, owner: str, role: str, differs: str, *, planned: bool) -> None:
        at = self._monotonic()
        if self._logged and self._logged[0] == differs and at - self._logged[1] < LOG_SECONDS:
            return
        self._logged = differs, at
        name = process.display_name(owner)
        if planned:
            log.warning("%s %s takes no task: %s", role, name, differing(differs))
        else:
            log.info("%s %s takes no task yet: %s; start newsletter serve", role, name, differs)

    def _fingerprints(self, salt: bytes) -> dict[str, str]:
        if self._key is None or self._key[0] != salt:
            secret = self._links.sign("shared settings", salt.hex())
            self._key = salt, fingerprint_key(secret, salt)
        values = own_values(self._settings, self._scorer_name, self._rubrics)
        return fingerprints(values, self._key[1])


def differing(names: str) -> str:
    """What a process says whose settings differ. Names only: a value may be a secret."""
    return f"not the same as in the process that plans: {names}; {FIX}"


def _same(one: tuple[int, list[Rubric]], other: tuple[int, list[Rubric]]) -> bool:
    """Rubrics are compared by identity: a file that was read again is another object."""
    (revision, rubrics), (known, before) = one, other
    return (
        revision == known
        and len(rubrics) == len(before)
        and all(mine is theirs for mine, theirs in zip(rubrics, before, strict=True))
    )
