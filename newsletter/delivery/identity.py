"""Sender, site information and link signing keys, from the settings."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from newsletter.domain.links import Links
from newsletter.domain.mail import Sender
from newsletter.errors import file_error
from newsletter.files.atomic_write import create
from newsletter.render import SiteInfo
from newsletter.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def site_info(settings: Settings) -> SiteInfo:
    return SiteInfo(
        name=settings.from_name,
        postal_address=settings.postal_address,
        home_url=settings.public_url,
    )


def links(settings: Settings) -> Links:
    return Links(settings.public_url, signing_keys(settings), settings.reply_host)


def signing_keys(settings: Settings) -> list[str]:
    """The keys that sign links, newest first.

    For mail written to files a key is generated here; `require_mail_settings` requires a configured
    one before mail leaves the machine.
    """
    given = settings.secret_key.get_secret_value()
    if given:
        return [key.strip() for key in given.split(",") if key.strip()]
    return [_generated_key(settings.outbox_dir.parent / "secret.key")]


def _generated_key(path: Path) -> str:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            create(path, secrets.token_hex(32).encode(), 0o600)
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        message = (
            f"NEWSLETTER_SECRET_KEY is not set and {path} cannot be kept ({file_error(error)})"
        )
        raise SettingsError(message) from error


def sender_of(settings: Settings) -> Sender:
    """The sender of `settings`; without a From address (mail to files only) a placeholder."""
    email = settings.from_email or f"digest@{settings.reply_host or 'localhost'}"
    own = bool(settings.reply_domain) and settings.smtp_bounce_addresses
    return Sender(email, settings.from_name, settings.operator_email, own)
