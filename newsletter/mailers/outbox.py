"""Mail written to a folder: for the demo, for tests, and for another program that sends it.

One `.eml` and one `.html` file for each mail, and an `index.html` that lists all.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
from typing import TYPE_CHECKING

from newsletter.errors import file_error
from newsletter.files.atomic_write import create, replaced
from newsletter.mailers import Mailer, SendError, SendFailure
from newsletter.mailers.mime import to_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.domain.mail import Email
    from newsletter.settings import Settings

FILE_MODE = 0o600
# Each mail is one appended paragraph without an end tag, which HTML allows: two processes can write
# one list without a lock. CSS alone shows the newest first.
INDEX_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Outbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body{display:flex;flex-direction:column-reverse;justify-content:flex-end;
font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
p{margin:.3rem 0}small{opacity:.7}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}
a{color:#9cf}}</style><body>
"""


class OutboxMailer:
    def __init__(self, settings: Settings) -> None:
        self.folder = settings.outbox_dir

    def send(self, email: Email) -> str:
        """Write the mail and return its file name. The same mail replaces its files."""
        name = file_name(email)
        target = self.folder / name
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not target.exists():
                self._list(email, target)
            _write(target.with_suffix(".html"), email.html.encode())
            _write(target, to_bytes(email, utf8=not email.to_email.isascii()))
        except OSError as error:
            message = (
                f"cannot write to the outbox {self.folder}: {file_error(error)}; "
                "make the folder writable or set NEWSLETTER_OUTBOX_DIR"
            )
            raise SendError(SendFailure.HALT, message) from error
        return name

    def _list(self, email: Email, target: Path) -> None:
        index = self.folder / "index.html"
        if not index.exists():
            create(index, INDEX_HEAD.encode(), FILE_MODE)
        date = f"{email.date:%Y-%m-%d %H:%M} UTC" if email.date else ""
        page, source = target.with_suffix(".html").name, target.name
        line = (
            f'<p><a href="{page}">{html.escape(email.subject)}</a><br>'
            f"{html.escape(email.to_name)} &lt;{html.escape(email.to_email)}&gt; "
            f'<small>{date} <a href="{source}">source</a></small>\n'
        )
        handle = os.open(index, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


def file_name(email: Email) -> str:
    """`alice-example.org-<delivery>.eml`: one safe name for each delivery, whatever the address."""
    address = re.sub(r"[^a-z0-9.]+", "-", email.to_email.lower()).strip(".-")[:60]
    stem = email.delivery_id or hashlib.sha256(email.message_id.encode()).hexdigest()[:32]
    return f"{address}-{stem}.eml"


def _write(target: Path, content: bytes) -> None:
    with replaced(target, FILE_MODE) as file:
        file.write(content)


_: type[Mailer] = OutboxMailer
