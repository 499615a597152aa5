"""Serialize an Email as MIME (RFC 5322, 2045), for SMTP and for files (pure)."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from newsletter.domain.addresses import ascii_domain

if TYPE_CHECKING:
    from newsletter.domain.mail import Email


class _Unfolded(EmailPolicy):
    """Folds headers that hold addresses or ids between addresses only.

    Python would write a long address in List-Unsubscribe as an encoded word, which no mailbox
    provider understands.
    """

    def fold(self, name: str, value: Any) -> str:  # noqa: ANN401 - as in EmailPolicy
        if name.lower().startswith(("list-", "message-id", "feedback-id", "reply-to")):
            return f"{name}: {str(value).replace('>, <', '>,' + self.linesep + ' <')}{self.linesep}"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: Any) -> bytes:  # noqa: ANN401 - as in EmailPolicy
        return self.fold(name, value).encode("utf-8", "surrogateescape")


POLICY = _Unfolded(linesep=SMTP.linesep)


def to_bytes(email: Email, *, utf8: bool = False) -> bytes:
    """The message with CRLF line ends. With `utf8`, addresses are not encoded (SMTPUTF8)."""
    message = EmailMessage(policy=POLICY.clone(utf8=utf8))
    message["From"] = _address(email.from_email, email.from_name)
    message["To"] = _address(email.to_email, email.to_name)
    message["Reply-To"] = _address(email.reply_to, "")
    message["Subject"] = email.subject
    message["Message-ID"] = email.message_id
    if email.date:
        message["Date"] = format_datetime(email.date)
    for name, value in email.headers:
        message[name] = value
    message.set_content(email.text, cte="quoted-printable")
    message.add_alternative(email.html, subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_{email.message_id.strip('<>').partition('@')[0]}")
    return message.as_bytes()


def _address(address: str, name: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain if not local.isascii() else ascii_domain(domain))
