"""A day with a real Postfix, Exim and Dovecot: `make check-mail-servers`."""

from __future__ import annotations

import json
import logging
import smtplib
import ssl
import tempfile
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from newsletter import bootstrap
from newsletter.jobs import housekeeping
from newsletter.settings import Settings
from newsletter.store import Store
from newsletter.store.tables import delivery, event, subscriber
from tests.fakes.installation import Installation
from tests.fakes.waiting import wait_until
from tests.mail_servers import exim, servers
from tests.mail_servers.exim import Exim
from tests.mail_servers.servers import DOMAIN, PASSWORD, USER, MailServers

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)
pytestmark = pytest.mark.skipif(
    bool(servers.missing() or exim.missing()), reason=servers.missing() or exim.missing()
)
RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
GOOD = [f"reader{number}@{DOMAIN}" for number in range(45)]
GONE = f"unknown@{DOMAIN}"
FAULTY = {
    f"full@{DOMAIN}": "5.2.2 mailbox is full",
    f"policy@{DOMAIN}": "5.7.1 message refused by local policy",
    f"large@{DOMAIN}": "5.3.4 message is too large",
    f"system@{DOMAIN}": "5.0.0 something went wrong",
}
GONE_BEHIND_EXIM = f"gone@{MailServers.relayed}"
BEHIND_EXIM = [f"quota@{MailServers.relayed}", f"nowhere@{MailServers.relayed}"]
"""One is over quota; of the other Exim says only that it can't be routed (5.0.0)."""
BAD = [GONE, GONE_BEHIND_EXIM, *FAULTY, *BEHIND_EXIM]
READERS = [*GOOD, *BAD]


@pytest.fixture
def post() -> Iterator[MailServers]:
    with tempfile.TemporaryDirectory(prefix="mail-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = MailServers(folder, GOOD, FAULTY)
        with Exim(made), made as running:
            yield running


@pytest.fixture
def installation(tmp_path: Path, post: MailServers) -> Installation:
    made = Installation(
        tmp_path,
        NEWSLETTER_SOURCE="sample",
        NEWSLETTER_SCORER="local",
        NEWSLETTER_MAILS_PER_SECOND="8",
        **post.environment,
    )
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    assert made.newsletter("migrate").status == 0
    made.subscribe(*(f"{one},one" for one in READERS))
    return made


def delivered(post: MailServers) -> int:
    return sum(len(post.mails(one)) for one in GOOD)


def test_a_day_with_real_mail_servers(
    installation: Installation, post: MailServers, monkeypatch: pytest.MonkeyPatch
):
    begun = time.monotonic()
    with installation.begin("run", "--json") as run:
        assert wait_until(lambda: delivered(post) >= 10)
        post.stop()
        before = delivered(post)
        time.sleep(5)
        post.start()
        out, said = run.communicate(timeout=200)
    assert run.returncode == 0, said
    assert before < len(GOOD)
    # The run went on while nobody was there.
    assert any(row.failures for row in rows(installation, select(delivery)))
    [issue] = json.loads(out)["issues"]
    assert issue["sent"] == len(READERS)
    assert wait_until(lambda: len(post.mails("replies")) == len(BAD))
    assert [len(post.mails(one)) for one in GOOD] == [1] * len(GOOD)
    sessions = post.sessions()
    log.info("SMTP sessions: %s", sessions)
    # The longest since the restart: kept for many mails, reset between them, closed with QUIT.
    longest = max(sessions, key=lambda one: one.get("data", 0))
    assert longest["data"] > len(READERS) // 4
    assert (longest["rset"], longest["quit"]) == (longest["data"] - 1, 1)
    seconds = time.monotonic() - begun
    log.info("%d mails in %.0f s, %d before the restart", len(READERS), seconds, before)

    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    answer(post, GOOD[0], "unsubscribe\n\n> {quote}")
    answer(post, GOOD[1], "On Tuesday the digest wrote:\n> {quote}\n\nunsubscribe")
    answer(post, GOOD[2], "Thank you, I like it.\n\n> {quote}")
    assert wait_until(lambda: len(post.mails("replies")) == len(BAD) + 3)
    app = bootstrap.build_app(Settings(_env_file=None))
    now = datetime.now(UTC)
    housekeeping.read_mailbox(app, now)
    housekeeping.process_inbound(app, now)
    app.store.close()

    states = {row.email: str(row.state) for row in rows(installation, select(subscriber))}
    assert (states[GONE], states[GONE_BEHIND_EXIM]) == ("bounced", "bounced")
    assert {states[one] for one in (*FAULTY, *BEHIND_EXIM)} == {"active"}
    assert [states[one] for one in GOOD[:3]] == ["unsubscribed", "unsubscribed", "active"]
    told = select(delivery.c.email, event.c.kind).where(event.c.delivery_id == delivery.c.id)
    kinds = {row.email: str(row.kind) for row in rows(installation, told)}
    hard = dict.fromkeys((GONE, GONE_BEHIND_EXIM), "hard bounce")
    assert kinds == hard | dict.fromkeys((*FAULTY, *BEHIND_EXIM), "soft bounce")
    again = installation.newsletter("run", "--json")
    [issue] = json.loads(again.out)["issues"]
    assert (issue["sent"], issue["already"]) == (0, len(READERS))
    assert len(rows(installation, select(delivery))) == len(READERS)


def answer(post: MailServers, reader: str, words: str) -> None:
    """As a reader's mail program answers the mail in their mailbox."""
    [raw] = post.mails(reader)
    got = BytesParser(policy=default).parsebytes(raw)
    text = got.get_body(("plain",))
    assert text is not None
    made = EmailMessage(policy=default)
    made["From"], made["To"], made["Subject"] = reader, got["Reply-To"], f"Re: {got['Subject']}"
    made["In-Reply-To"] = made["References"] = got["Message-ID"]
    made["Message-ID"] = f"<answer-{reader}>"
    made.set_content(words.format(quote="\n> ".join(text.get_content().splitlines())))
    with smtplib.SMTP("127.0.0.1", post.submission) as server:
        server.starttls(context=ssl.create_default_context(cafile=post.folder / "authority.pem"))
        server.login(USER, PASSWORD)
        server.send_message(made)


def rows(installation: Installation, query: object) -> list[Any]:
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.read() as tx:
        found = list(tx.execute(query))
    store.close()
    return found
