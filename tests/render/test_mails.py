from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from jinja2 import UndefinedError

from newsletter.render import Renderer
from tests.render.gallery.issues import MAILS, SITE

RENDERER = Renderer(SITE)
HOSTILE = "<script>alert(1)</script></mj-text>{{ 7*7 }}{% for %}\u202e\r\nBcc: a@b.c\x07"


@pytest.mark.parametrize("name", MAILS)
def test_every_email_has_three_parts_and_states_why_it_was_sent(name):
    subject, html, text = RENDERER.mail(name, **MAILS[name])
    page = BeautifulSoup(html, "lxml")
    assert page.title.get_text() == subject
    assert 10 <= len(subject) <= 78
    shown = " ".join(page.get_text(" ").split())
    for part in (shown, " ".join(text.split())):
        assert "You get this" in part
        assert SITE.postal_address in part
        # SendGrid sends what fits Latin-1 as iso-8859-1, and Gmail may clip such a mail.
        assert any(ord(letter) > 0xFF for letter in part)
    assert not [line for line in text.splitlines() if len(line) > 72 and "://" not in line]
    for link in page.find_all("a", href=re.compile("https://")):
        assert link["href"] in text


def poisoned(value):
    """A value of the same shape, hostile throughout."""
    if isinstance(value, str):
        return HOSTILE
    return [poisoned(item) for item in value]


@pytest.mark.parametrize("name", MAILS)
def test_untrusted_values_are_text_and_never_a_header(name):
    hostile = {key: poisoned(value) for key, value in MAILS[name].items()}
    subject, html, text = RENDERER.mail(name, **hostile)
    page = BeautifulSoup(html, "lxml")
    assert not page.find_all("script")
    assert "49" not in html
    assert "\n" not in subject
    assert "\r" not in subject
    for part in (subject, html, text):
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", part)
    # Every place that showed a value still shows it, whole, as text.
    plain = " ".join(page.get_text(" ").split())
    assert "<script>alert(1)</script></mj-text>{{ 7*7 }}{% for %} Bcc: a@b.c" in plain


def test_a_missing_template_value_is_an_error():
    with pytest.raises(UndefinedError, match="confirm_url"):
        RENDERER.mail("confirm", rubrics=["x"], read=[], again=False, email="a@b.c")


def test_an_unknown_email_name_is_an_error():
    with pytest.raises(LookupError):
        RENDERER.mail("nonsense")
