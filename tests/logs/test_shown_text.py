"""What strangers write, followed to every terminal, page, mail and log line that shows it."""

from __future__ import annotations

import io
import json
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from newsletter import logs
from newsletter.delivery.message import notification
from newsletter.domain import sanitize
from newsletter.domain.mail import Format, Sender
from newsletter.settings import Settings
from newsletter.store import Store
from newsletter.store.tables import delivery, inbound, subscriber
from newsletter.web.app import create_app
from tests.fakes.browser import served
from tests.fakes.installation import Installation
from tests.fakes.operator_data import alert, doubt, reply
from tests.fakes.pages import LINKS, NOW, RENDERER, STARS, THURSDAY, issue, make_site, paper, reader
from tests.render.gallery.issues import NAV, READER

if TYPE_CHECKING:
    from pathlib import Path

ESC, CSI, BIDI, TAG = "\x1b]0;owned\x07\x1b[2J", "\x9b31m", "\u202egnp\u2066", "\U000e0049"
HOSTILE = f"odd {ESC}{CSI}{BIDI}{TAG} word"
CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
ACTS = re.compile(f"[{CONTROLS}\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""Written anew: the test would not see what is missing in the product's own list."""
SHOWING = [
    "status",
    "subscribers list",
    "replies list",
    "deliveries list",
    "rubrics list",
    "subscribers export",
    "doctor --offline",
]
RUBRIC = "---\ntitle: Stars\ncategories: [astro-ph.SR]\n---\n## Criteria\n1. Cold\n"


def fill(store: Store) -> None:
    """A database in which everything that others may write is hostile."""
    person = reader(store, name=HOSTILE, consent=HOSTILE)
    papers = [paper("p1", HOSTILE, HOSTILE, (HOSTILE,)), paper("p2", HOSTILE)]
    issue(store, STARS, THURSDAY, papers, comment=HOSTILE)
    doubt(store, person)
    reply(store, person, HOSTILE)
    reply(store, None, HOSTILE)
    alert(store, what=HOSTILE, fix=HOSTILE)
    with store.begin() as tx:
        tx.execute(update(delivery).values(reason=HOSTILE))
        tx.execute(update(subscriber).values(state_reason=HOSTILE))
        tx.execute(update(inbound).values(envelope_from=HOSTILE))


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path, NEWSLETTER_SOURCE="sample")
    (made.rubrics / "stars.md").write_text(RUBRIC, encoding="utf-8")
    made.create_database()
    store = Store(made.environment["NEWSLETTER_DATABASE_URL"])
    fill(store)
    store.close()
    return made


@pytest.mark.parametrize("words", SHOWING)
def test_no_command_shows_what_a_terminal_would_obey(installation: Installation, words: str):
    done = installation.newsletter(*words.split())
    assert done.out
    if words != "subscribers export":  # into a file or a pipe, as `import` reads it back
        assert not ACTS.findall(done.out + done.err)


@pytest.mark.parametrize("words", ["status", "subscribers list", "replies list", "deliveries list"])
def test_json_is_whole_and_harmless(installation: Installation, words: str):
    out = installation.newsletter(*words.split(), "--json").out
    assert not ACTS.findall(out)
    if words == "deliveries list":
        assert HOSTILE in json.loads(out)[0].values()


def test_no_page_shows_it(store: Store):
    person = reader(store, name=HOSTILE)
    issue(store, STARS, THURSDAY, [paper("p1", HOSTILE, HOSTILE, (HOSTILE,))], comment=HOSTILE)
    with served(create_app(make_site(store))) as web:
        for address in (
            "/",
            "/archive/stars/",
            f"/archive/stars/{THURSDAY}/",
            f"/archive/stars/{THURSDAY:%Y-%m}/",
            "/archive/stars/feed.xml",
            "/search?q=odd",
            LINKS.preferences_url(person.id),
        ):
            page = web.get(address)
            assert page.status == 200, address
            assert not ACTS.findall(page.text), address


def test_no_mail_shows_it(store: Store):
    rubric = replace(STARS, title=HOSTILE)
    papers = [paper("p1", HOSTILE, HOSTILE, (HOSTILE,)), paper("p2", HOSTILE, HOSTILE)]
    digest = issue(store, rubric, THURSDAY, papers, comment=HOSTILE)
    copy = RENDERER.digest(digest, NAV, Format.FULL)
    html, text = copy.for_reader(replace(READER, name=HOSTILE, email=HOSTILE))
    assert "odd" in html
    assert not ACTS.findall(copy.subject + html + text)


def test_no_letter_shows_it():
    urls = dict.fromkeys(("preferences_url", "unsubscribe_url"), "https://x")
    told = {"email": HOSTILE, "left": [HOSTILE], "others": [HOSTILE]}
    subject, html, text = RENDERER.mail("goodbye", **told, **urls)
    mail = notification(
        to_email="ada@example.org",
        to_name=HOSTILE,
        subject=subject + HOSTILE,
        html=html,
        text=text,
        mail_id="1",
        sender=Sender("digest@example.org", HOSTILE),
        now=NOW,
    )
    assert "odd" in text
    assert not ACTS.findall(f"{mail.subject}{mail.to_name}{mail.from_name}{html}{text}")


def test_no_line_of_the_log_shows_it():
    out = io.StringIO()
    logs.set_up(Settings(_env_file=None), "info", out)
    logging.getLogger("newsletter.test").warning("a title: %s", HOSTILE, extra={"more": HOSTILE})
    told = json.loads(out.getvalue())
    assert "odd" in told["event"]
    assert not ACTS.findall(out.getvalue() + "".join(map(str, told.values())))


def test_every_tag_character_goes_wherever_text_goes():
    tags = "".join(map(chr, range(0xE0000, 0xE0080)))
    for way in (
        sanitize.clean,
        sanitize.strip_invisible,
        sanitize.clean_comment,
        sanitize.clean_rubric_for_model,
    ):
        assert way(f"a{tags}b") == "ab"
