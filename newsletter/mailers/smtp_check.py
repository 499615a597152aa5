"""Whether a mail server takes our login. Nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.findings import MailCheck, Told, fail, ok
from newsletter.mailers import SendError
from newsletter.mailers.smtp import Smtp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.findings import Record
    from newsletter.settings import Settings


class SmtpCheck:
    def __init__(self, settings: Settings, timeout: float) -> None:
        self._mailer = Smtp(settings, timeout=timeout)

    def account(self) -> Told:
        try:
            where = self._mailer.greet()
        except SendError as error:
            return Told((fail("smtp login", str(error), "check NEWSLETTER_SMTP_URL"),))
        return Told((ok("smtp login", f"{where} takes our login, over TLS"),))

    def hooks(self) -> Told:
        return Told()

    def records(self) -> Sequence[Record]:
        return ()


_: type[MailCheck] = SmtpCheck
