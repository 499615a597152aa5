"""What a subscriber may wish for, cell by cell; files of them are tried in test_roster.py."""

from __future__ import annotations

import pytest

from newsletter.domain.mail import WEEKDAYS
from newsletter.domain.preferences import parse_address, parse_days


@pytest.mark.parametrize("first", range(7))
@pytest.mark.parametrize("many", range(1, 8))
def test_a_range_of_days_has_both_its_ends(first: int, many: int) -> None:
    wanted = {WEEKDAYS[(first + n) % 7] for n in range(many)}
    written = f"{WEEKDAYS[first]}-{WEEKDAYS[(first + many - 1) % 7]}"
    assert parse_days(written) == tuple(day for day in WEEKDAYS if day in wanted)


def test_eighty_letters_of_what_is_no_address_are_shown() -> None:
    with pytest.raises(ValueError, match="is not an address") as caught:
        parse_address("x" * 90 + " y")
    assert str(caught.value).split()[0] == "x" * 80


def test_an_address_has_at_most_64_octets_before_the_at() -> None:
    """RFC 5321, 4.5.3.1.1. A file, a command, a sign-up and the operator's page all ask here."""
    assert parse_address(f"{'a' * 64}@example.org").startswith("a" * 64)
    with pytest.raises(ValueError, match="too long before the @-sign"):
        parse_address(f"{'a' * 65}@example.org")
