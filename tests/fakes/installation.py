"""An installation of the program in a folder, run as its operator would run it."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING

from newsletter.domain.subscriber_csv import read_subscribers
from newsletter.store import Store, subscriber_import
from tests.fakes import command
from tests.fakes.database import create_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

CORPUS = "shared/corpus"


def sendgrid_environment(url: str) -> dict[str, str]:
    """The settings that send mail by the SendGrid at that address."""
    return {
        "NEWSLETTER_MAILER": "sendgrid",
        "NEWSLETTER_SENDGRID_URL": url,
        "SENDGRID_API_KEY": "SG.x",
        "NEWSLETTER_FROM_EMAIL": "digest@example.org",
        "NEWSLETTER_POSTAL_ADDRESS": "1 Example Street",
    }


@dataclass(frozen=True)
class CommandResult:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


class Installation:
    """Has its own database, outbox and rubrics; none of the tests' environment variables."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.rubrics = folder / "rubrics"
        self.rubrics.mkdir(exist_ok=True)
        self.outbox = folder / "outbox"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "COLUMNS": "160",
            "NEWSLETTER_DATABASE_URL": f"sqlite:///{folder / 'newsletter.db'}",
            "NEWSLETTER_OUTBOX_DIR": str(self.outbox),
            "NEWSLETTER_RUBRICS_DIR": str(self.rubrics),
            "NEWSLETTER_ARXIV_DELAY_SECONDS": "0",
            "NEWSLETTER_SECRET_KEY": "a key that only tests know 0123",
            "NEWSLETTER_PUBLIC_URL": "https://digest.example.org",
            **environment,
        }

    def newsletter(self, *words: str, **environment: str) -> CommandResult:
        environment = self.environment | environment
        return CommandResult(*command.run(words, self.folder, environment, timeout=600))

    def begin(self, *words: str, **environment: str) -> command.RunningCommand:
        """Start a command that runs beside the test; to be used in a `with` statement."""
        return command.begin(words, self.folder, self.environment | environment)

    @contextmanager
    def serving(self, *words: str) -> Iterator[tuple[command.RunningCommand, int]]:
        """`serve` at a port that the system chooses, which its log names."""
        with self.begin("serve", "--port", "0", *words) as process:
            said = []
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"web pages at http://127\.0\.0\.1:(\d+)", line):
                    yield process, int(found[1])
                    return
            raise AssertionError("".join(said))

    @property
    def _sqlite(self) -> str:
        url = self.environment.get("NEWSLETTER_DATABASE_URL", "")
        return url if url.startswith("sqlite:///") else ""

    def create_database(self) -> None:
        """What `newsletter migrate` does; of SQLite a copy of a migrated file, which is quicker."""
        if self._sqlite:
            create_database(self._sqlite)
        else:
            assert self.newsletter("migrate").status == 0

    def subscribe(self, *rows: str, header: str = "email,rubric") -> None:
        """Import subscribers, without a fault. Creates the database if there is none.

        Into SQLite without a process of its own: `subscribers import` has its own tests.
        """
        roster, consent = "\n".join([header, *rows, ""]), "asked in a test"
        if not self._sqlite:
            (self.folder / "roster.csv").write_text(roster, encoding="utf-8")
            done = self.newsletter("subscribers", "import", "roster.csv", "--consent", consent)
            assert done.status == 0, done.err
            return
        create_database(self._sqlite)
        read = read_subscribers(roster, {path.stem for path in self.rubrics.glob("*.md")})
        assert not read.faults, read.faults
        store = Store(self._sqlite)
        with store.begin() as tx:
            subscriber_import.save_all(tx, read.rows, consent, datetime.now(UTC))
        store.close()

    def mails(self) -> list[EmailMessage]:
        """The mails in the outbox, by file name."""
        return [
            message_from_bytes(path.read_bytes(), policy=default)
            for path in sorted(self.outbox.glob("*.eml"))
        ]
