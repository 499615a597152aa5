"""Fingerprints of settings: equal values agree, and nothing but names can be learnt from them."""

from __future__ import annotations

from newsletter.domain.shared_settings import (
    SECRET_KEY,
    differences,
    fingerprint_key,
    fingerprints,
    list_names,
)

SALT = bytes(16)
KEY = fingerprint_key("a key that only tests know 0123", SALT)
VALUES = {"NEWSLETTER_MAILER": "sendgrid", "SENDGRID_API_KEY": "SG.x", "rubric one": "1"}


def test_the_same_values_agree_and_each_other_one_is_named() -> None:
    planner = fingerprints(VALUES, KEY)
    assert differences(planner, fingerprints(VALUES, KEY)) == []
    for name in VALUES:
        assert differences(planner, fingerprints(VALUES | {name: "other"}, KEY)) == [name]
        missing = {each: value for each, value in VALUES.items() if each != name}
        assert differences(planner, fingerprints(missing, KEY)) == [name]


def test_what_the_planner_does_not_use_is_not_compared() -> None:
    own = fingerprints(VALUES | {"rubric two": "2"}, KEY)
    assert differences(fingerprints(VALUES, KEY), own) == []


def test_of_another_secret_key_it_alone_is_named() -> None:
    other = fingerprint_key("another key that only tests know", SALT)
    assert differences(fingerprints(VALUES, KEY), fingerprints(VALUES, other)) == [SECRET_KEY]


def test_no_fingerprint_can_be_tested_without_the_secret_key() -> None:
    """Equal values of two settings, or with two salts, look different; none is the value's hash."""
    made = fingerprints({"one": "outbox", "two": "outbox"}, KEY)
    again = fingerprints(
        {"one": "outbox"}, fingerprint_key("a key that only tests know 0123", b"1")
    )
    assert len({*made.values(), *again.values()}) == len(made) + len(again)


def test_a_long_list_of_names_is_cut() -> None:
    assert list_names(["a", "b"]) == "a, b"
    assert list_names([*"abcdefgh"]) == "a, b, c, d, e and 3 more"
