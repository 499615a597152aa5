from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain.links import LOCAL_PART_OCTETS, TEST_READER, Links, Purpose
from newsletter.domain.model import Rubric

READER = uuid4().hex
LINKS = Links("https://digest.example.org", ["k" * 32], "in.example.org")
RUBRIC = Rubric("cold-stars", "Cold stars", ("astro-ph.SR",), ())
DAY = date(2025, 9, 23)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_token_names_its_reader_and_nothing_else_opens_it(purpose: Purpose):
    token = LINKS.token(purpose, READER)

    assert LINKS.read(purpose, token) == READER
    assert LINKS.read(purpose, token.upper()) == READER
    assert [p for p in Purpose if LINKS.read(p, token)] == [purpose]
    assert Links("https://x.example", ["z" * 32], "").read(purpose, token) is None


def test_every_flipped_letter_is_refused():
    token = LINKS.token(Purpose.UNSUBSCRIBE, READER)
    for place, letter in enumerate(token):
        other = "a" if letter != "a" else "b"
        assert LINKS.read("unsubscribe", token[:place] + other + token[place + 1 :]) is None


@given(st.text())
def test_18_text_from_outside_is_no_token(text: str):
    assert LINKS.read("unsubscribe", text) is None
    assert LINKS.read_address(text) is None


@pytest.mark.parametrize("wrong", ["", "a", "a" * 47, "a" * 49, "é" * 48, "1" * 48, "a" * 48])
def test_18_a_malformed_token_is_refused(wrong: str):
    assert LINKS.read("unsubscribe", wrong) is None


def test_an_old_key_still_verifies_but_makes_no_new_links():
    rotated = Links("https://digest.example.org", ["n" * 32, "k" * 32], "in.example.org")

    assert rotated.read("confirm", LINKS.token(Purpose.CONFIRM, READER)) == READER
    assert LINKS.read("confirm", rotated.token(Purpose.CONFIRM, READER)) is None
    private = LINKS.segment(RUBRIC)
    assert rotated.opens(RUBRIC, private)
    assert rotated.segment(RUBRIC) != private


def test_mail_addresses_fit_the_wire_and_survive_it():
    for address, purpose in (
        (LINKS.reply_address(READER), Purpose.REPLY),
        (LINKS.unsub_address(READER), Purpose.UNSUB),
    ):
        local = address.partition("@")[0]
        assert len(local) <= LOCAL_PART_OCTETS
        assert address == address.lower()
        for arrived in (address, address.upper(), local.replace("+", "=") + "@x.example"):
            assert LINKS.read_address(arrived) == (purpose, READER)
        forwarded = f"SRS0=HHH=TT=in.example.org={local}@forwarder.example"
        assert LINKS.read_address(forwarded) == (purpose, READER)


def test_a_reply_token_does_not_leave_and_a_page_token_is_no_mailbox():
    token = LINKS.token(Purpose.REPLY, READER)
    assert LINKS.read_address(f"unsub+{token}@in.example.org") is None
    assert LINKS.read_address(f"unsubscribe+{token}@in.example.org") is None


def test_archive_addresses_of_a_public_rubric_are_plain():
    public = replace(RUBRIC, public=True)
    base = "https://digest.example.org/archive/cold-stars/"

    assert LINKS.rubric_url(public) == base
    assert LINKS.issue_url(public, DAY) == f"{base}2025-09-23/"
    assert LINKS.month_url(public, DAY) == f"{base}2025-09/"
    assert LINKS.feed_url(public) == f"{base}feed.xml"
    assert LINKS.opens(public, "cold-stars")
    assert not LINKS.opens(public, "warm-stars")


def test_a_private_rubric_opens_only_by_its_secret_segment():
    segment = LINKS.segment(RUBRIC)

    assert segment.startswith("cold-stars-")
    assert len(segment) == len("cold-stars-") + 24
    assert LINKS.opens(RUBRIC, segment)
    for wrong in ("cold-stars", segment[:-1], segment + "a", segment.upper(), "", "é"):
        assert not LINKS.opens(RUBRIC, wrong)
    assert not LINKS.opens(replace(RUBRIC, slug="warm-stars"), segment)


def test_the_reader_of_a_test_mail_is_nobody():
    token = LINKS.unsubscribe_url(TEST_READER).rpartition("/")[2]
    assert LINKS.read("unsubscribe", token) == TEST_READER


def test_without_a_reply_domain_the_page_host_takes_replies():
    assert Links("http://localhost:8000", ["k" * 16], "").reply_host == "localhost"


def test_no_key_is_refused_by_the_name_of_the_setting():
    with pytest.raises(ValueError, match="NEWSLETTER_SECRET_KEY"):
        Links("http://localhost:8000", [], "")


def test_the_host_is_that_of_the_public_address() -> None:
    given = Links("https://digest.example.org:8443/", ["k" * 32], "")
    assert (given.public_url, given.host) == (
        "https://digest.example.org:8443",
        "digest.example.org",
    )
    assert given.reply_host == given.host
    assert Links("", ["k" * 32], "").host == "localhost"
    assert Links("https://x.example", ["k" * 32], "in.example.org").reply_host == "in.example.org"


def test_the_first_key_makes_what_every_key_verifies() -> None:
    old, new = (
        Links("https://x.example", ["a" * 32], ""),
        Links("https://x.example", ["b" * 32], ""),
    )
    both = Links("https://x.example", ["b" * 32, "a" * 32], "")
    assert both.sign("form", "x") == new.sign("form", "x") != old.sign("form", "x")
    assert both.is_signed("form", "x", old.sign("form", "x"))
    assert not new.is_signed("form", "x", old.sign("form", "x"))


def test_an_archive_address_opens_by_its_letters() -> None:
    public = Rubric("stars", "Stars", ("astro-ph.SR",), (), public=True)
    private = replace(public, public=False)
    given = Links("https://x.example", ["k" * 32], "")
    assert given.opens(public, "-stars"[1:])
    assert not given.opens(public, "stars2")
    assert given.opens(private, given.segment(private))
    assert not given.opens(private, "stars")
    assert len(given.segment(private)) == len("stars-") + 24
