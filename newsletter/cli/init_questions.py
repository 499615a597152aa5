"""The questions of `init`, and the check of each answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfoNotFoundError

import typer
from tzlocal import get_localzone_name

from newsletter import bootstrap
from newsletter.cli.console import say
from newsletter.domain.categories import category_fault
from newsletter.domain.findings import FindingState
from newsletter.domain.preferences import parse_address, parse_clock, parse_zone
from newsletter.errors import OperatorError
from newsletter.operations.doctor.run import examine_key, examine_mail
from newsletter.settings import SettingsError, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from newsletter.domain.findings import Finding
    from newsletter.settings import Settings

WAYS = {"files": "outbox", "smtp": "smtp", "sendgrid": "sendgrid"}
"""The answers about mail, and the mailers that they mean."""
SERVERS = {
    "gmail.com": "smtp.gmail.com:587",
    "googlemail.com": "smtp.gmail.com:587",
    "fastmail.com": "smtp.fastmail.com:587",
    "icloud.com": "smtp.mail.me.com:587",
    "gmx.de": "mail.gmx.net:587",
    "gmx.net": "mail.gmx.net:587",
    "web.de": "smtp.web.de:587",
    "yahoo.com": "smtp.mail.yahoo.com:587",
}
"""Providers that take an app password."""
UNSET_ZONE = "UTC"
"""The default of NEWSLETTER_TIMEZONE; the machine's own zone is offered in its place."""
SERVER = re.compile(r"[\w.-]+(:[1-9]\d{0,4})?")
SECRETS = {
    "smtp": "NEWSLETTER_SMTP_URL",
    "sendgrid": "SENDGRID_API_KEY",
    "key": "ANTHROPIC_API_KEY",
}


@dataclass(frozen=True)
class Asker:
    """Takes answers from options or, on a terminal, by questions; a wrong answer is asked again."""

    on_terminal: bool

    def address(self, given: str, option: str = "--email") -> str:
        return self._checked(given, option, "Your email address", parse_address)

    def topic(self, given: str, titles: Mapping[str, str]) -> str:
        """A shipped rubric's slug, also where its title was given; or a sentence."""
        if self.on_terminal and not given:
            say("\nWhat do you want to read about? A shipped topic by its name:")
            for slug, title in titles.items():
                say(f"  {slug:<20} {title}")
        question = "The name of one of these, or a sentence of your own"
        return self._checked(given, "--topic", question, lambda text: _topic(text, titles))

    def categories(self, given: Sequence[str]) -> tuple[str, ...]:
        question = "In which arXiv categories? (arxiv.org/category_taxonomy, like cs.LG cs.CL)"
        text = self._checked(" ".join(given), "--categories", question, _known_categories)
        return tuple(text.split())

    def mail(
        self, given: str, sender: str, settings: Settings, values: Mapping[str, str]
    ) -> dict[str, str]:
        """How mail is sent: settings that the provider of mail accepted."""
        default = "files" if not self.on_terminal else ""
        way = self._checked(
            given or default, "--mail", "How to mail: files, smtp or sendgrid", _way
        )
        if way == "files":
            return {"NEWSLETTER_MAILER": "outbox"}
        while True:
            name = SECRETS[way]
            value = self._secret(way, sender, settings)
            made = {
                "NEWSLETTER_MAILER": WAYS[way],
                "NEWSLETTER_FROM_EMAIL": sender,
                name: value,
            }
            trial = {**values, **made, "NEWSLETTER_OPERATOR_ONLY": "true"}
            if self._accepts(trial, lambda found: examine_mail(found, bootstrap.now)):
                return made

    def key(self, settings: Settings, values: Mapping[str, str]) -> dict[str, str]:
        """The key of Claude, which was accepted; or ranking without a model."""
        while True:
            value = settings.anthropic_api_key.get_secret_value()
            if self.on_terminal and not value:
                value = _hidden("Key of Claude (empty: papers are ranked by words, without scores)")
            if not value:
                return {"NEWSLETTER_SCORER": "local"} if settings.scorer == "claude" else {}
            made = {SECRETS["key"]: value}
            if settings.scorer:
                made["NEWSLETTER_SCORER"] = "claude"
            if self._accepts({**values, **made}, examine_key):
                return made
            settings = settings.model_copy(
                update={"anthropic_api_key": type(settings.anthropic_api_key)("")}
            )

    def hour(self, zone: str, clock: str, settings: Settings) -> dict[str, str]:
        """Time zone and hour of the mail, where they are not those of the settings."""
        known = settings.timezone
        if known == UNSET_ZONE:
            known = machine_zone()
        at = f"{settings.send_at:%H:%M}"
        if self.on_terminal or zone:
            known = self._checked(zone, "--timezone", "Your time zone", parse_zone, known)
        if self.on_terminal or clock:
            at = self._checked(clock, "--send-at", "Mail at what time of day?", _clock, at)
        found = {"NEWSLETTER_TIMEZONE": known, "NEWSLETTER_SEND_AT": at}
        before = (settings.timezone, f"{settings.send_at:%H:%M}")
        return {
            name: value
            for (name, value), old in zip(found.items(), before, strict=True)
            if value != old
        }

    def confirm(self, question: str, *, default: bool = False) -> bool:
        if not self.on_terminal:
            message = f"{question} Add --yes to do so without a terminal"
            raise SettingsError(message)
        return typer.confirm(question, default=default)

    def _secret(self, way: str, sender: str, settings: Settings) -> str:
        """The secret of this way of mail; without a terminal from the environment or `.env`."""
        known = settings.smtp_url if way == "smtp" else settings.sendgrid_api_key
        if not self.on_terminal:
            if not known.get_secret_value():
                message = f"{SECRETS[way]} is not set: --mail {way} takes it from the environment"
                raise SettingsError(message)
            return known.get_secret_value()
        if way == "sendgrid":
            return _hidden("SendGrid API key, with the permission Mail Send")
        host = self._checked(
            "", "--mail", "Mail server, as HOST:PORT", _server, SERVERS.get(_domain(sender))
        )
        user = typer.prompt("User name there", default=sender)
        password = _hidden("App password (made in the account's security settings)")
        scheme = "smtps" if host.endswith(":465") else "smtp"
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}"

    def _accepts(
        self, values: Mapping[str, str], examine: Callable[[Settings], Sequence[Finding]]
    ) -> bool:
        """Check the answer as `doctor` does. False if it is to be given again."""
        try:
            found = examine(read_settings(**_fields(values)))
        except SettingsError as error:
            if not self.on_terminal:
                raise
            say(str(error))
            return False
        for one in found:
            say(f"{one.state}: {one.check}: {one.said}" + (f"; {one.fix}" if one.fix else ""))
        failed = [one for one in found if one.state is FindingState.FAIL]
        if failed and not self.on_terminal:
            message = f"nothing was written: {failed[0].check}: {failed[0].said}"
            raise OperatorError(message)
        if not failed:
            return True
        if typer.confirm("Give the answer again?", default=True):
            return False
        if not typer.confirm("Keep it although this check failed?", default=False):
            message = f"nothing was written: {failed[0].check}: {failed[0].said}"
            raise OperatorError(message)
        say("Kept; once the fault is mended, check it again: newsletter doctor")
        return True

    def _checked(
        self,
        given: str,
        option: str,
        question: str,
        check: Callable[[str], str],
        default: str | None = None,
    ) -> str:
        while True:
            if not given and not self.on_terminal:
                message = f"{option} is missing; without a terminal every answer is an option"
                raise SettingsError(message)
            answer = given or str(typer.prompt(question, default=default))
            try:
                return check(answer.strip())
            except ValueError as error:
                if given:
                    message = f"{option}: {error}"
                    raise SettingsError(message) from None
                say(str(error))


def _fields(values: Mapping[str, str]) -> dict[str, object]:
    """The settings by the names that `read_settings` takes."""
    prefix = "NEWSLETTER_"
    return {
        name.removeprefix(prefix).lower() if name.startswith(prefix) else name: value
        for name, value in values.items()
    }


def _hidden(question: str) -> str:
    return str(typer.prompt(question, default="", hide_input=True, show_default=False)).strip()


def _topic(text: str, titles: Mapping[str, str]) -> str:
    if not text:
        message = "say what you want to read about"
        raise ValueError(message)
    for slug, title in titles.items():
        if text.casefold() in {slug.casefold(), title.casefold()}:
            return slug
    near = get_close_matches(text.casefold(), [*titles], n=1, cutoff=0.8)
    if near:
        message = f"{text} is no shipped topic; is {near[0]} meant?"
        raise ValueError(message)
    return text


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _server(text: str) -> str:
    if not SERVER.fullmatch(text):
        message = f"{text[:80]} is no mail server; write it like smtp.example.org:587"
        raise ValueError(message)
    return text


def _clock(text: str) -> str:
    return f"{parse_clock(text):%H:%M}"


def machine_zone() -> str:
    """The name of this machine's time zone; UTC where it has none."""
    try:
        name = get_localzone_name() or UNSET_ZONE
        # Debian's name for UTC.
        return UNSET_ZONE if name == "Etc/UTC" else parse_zone(name)
    except (ValueError, ZoneInfoNotFoundError):
        return UNSET_ZONE


def _way(text: str) -> str:
    if text.lower() not in WAYS:
        message = "use files, smtp or sendgrid"
        raise ValueError(message)
    return text.lower()


def _known_categories(text: str) -> str:
    names = text.replace(",", " ").split()
    for name in names:
        if fault := category_fault(name):
            raise ValueError(fault)
    if not names:
        message = "name one category at least"
        raise ValueError(message)
    return " ".join(dict.fromkeys(names))
