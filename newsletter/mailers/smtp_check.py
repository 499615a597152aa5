"""Whether a mail server takes our login, and would take our mail. Nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter.findings import Told, fail, ok
from newsletter.mailers import MailCheck, SendError
from newsletter.mailers.smtp import Smtp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsletter.findings import Record
    from newsletter.people import Email
    from newsletter.settings import Settings


class SmtpCheck:
    def __init__(self, settings: Settings, timeout: float) -> None:
        self._mailer = Smtp(settings, timeout=timeout)

    def account(self) -> Told:
        try:
            where = self._mailer.greet()
        except SendError as error:
            return Told((fail("smtp login", str(error), "check NEWSLETTER_SMTP_URL"),))
        return Told((ok("smtp login", where),))

    def would_take(self, email: Email) -> Told:
        check, asked = "smtp mail", "MAIL FROM, RCPT TO the operator, RSET"
        try:
            where = self._mailer.try_out(email)
        except SendError as error:
            fix = "mend it before the morning; see NEWSLETTER_FROM_EMAIL and NEWSLETTER_SMTP_URL"
            return Told((fail(check, f"{asked}: {error}", fix),))
        return Told((ok(check, f"{asked}: {where} takes our mail; nothing was sent"),))

    def hooks(self) -> Told:
        return Told()

    def records(self) -> Sequence[Record]:
        return ()


_: type[MailCheck] = SmtpCheck
