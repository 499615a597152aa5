"""What came back is written down when the database answers again."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from newsletter.store import StoreError
from newsletter.store.retry import MAX_TRIES, MAX_TRIES_AT_SHUTDOWN, retry_while_unavailable


class Shaky:
    """A database that fails so many times, for one reason."""

    def __init__(self, times: int, cause: type[Exception] = OperationalError) -> None:
        self.left = times
        self.cause = cause
        self.tries = 0

    def write(self) -> str:
        self.tries += 1
        if self.left:
            self.left -= 1
            message = "database n: gone"
            raise StoreError(message) from self.cause("INSERT", {}, Exception("gone"))
        return "written"


def test_what_is_away_is_asked_again_until_it_answers():
    naps: list[float] = []
    shaky = Shaky(3)
    assert retry_while_unavailable(shaky.write, lambda: False, naps.append) == "written"
    assert (shaky.tries, len(naps)) == (4, 3)


def test_it_is_given_up_in_the_end_and_sooner_by_who_is_to_stop():
    for stop, tries in ((lambda: False, MAX_TRIES), (lambda: True, MAX_TRIES_AT_SHUTDOWN)):
        shaky = Shaky(1000)
        with pytest.raises(StoreError):
            retry_while_unavailable(shaky.write, stop, lambda _seconds: None)
        assert shaky.tries == tries


def test_what_can_never_be_written_is_not_tried_again():
    shaky = Shaky(3, IntegrityError)
    with pytest.raises(StoreError):
        retry_while_unavailable(shaky.write, lambda: False, lambda _seconds: None)
    assert shaky.tries == 1
