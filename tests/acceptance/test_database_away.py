"""PostgreSQL goes away under processes at work: they wait for it and go on, or say so and end."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from newsletter.mailers.sendgrid.mailer import SendGridMailer
from tests.fakes.pace import hold_after
from tests.fakes.services import Deployment, deployment_on, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POSTGRES = os.environ.get("NEWSLETTER_TEST_DATABASE_URL", "")
READERS = 60
AWAY_SECONDS = float(os.environ.get("NEWSLETTER_TEST_AWAY_SECONDS", "4"))
WAYS = {"local": [("--no-web",)], "dbos": [("--no-web", "--no-work"), ("worker", "--port", "0")]}

pytestmark = pytest.mark.skipif(
    not POSTGRES, reason="needs PostgreSQL: set NEWSLETTER_TEST_DATABASE_URL"
)


@contextmanager
def refused(url: str) -> Iterator[None]:
    """Meanwhile nobody is connected to a database, and nobody can connect."""
    named = make_url(url)
    server = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    ends = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    with server.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {named.database} ALLOW_CONNECTIONS false"))
        connection.execute(ends, {"name": named.database})
        try:
            yield
        finally:
            connection.execute(text(f"ALTER DATABASE {named.database} ALLOW_CONNECTIONS true"))
    server.dispose()


@pytest.mark.parametrize("engine", WAYS)
def test_a_database_that_goes_away_costs_no_mail_and_doubles_none(tmp_path: Path, engine: str):
    with deployment_on(POSTGRES, tmp_path, NEWSLETTER_ENGINE=engine) as deployment:
        for number in range(READERS):
            deployment.add_reader(f"reader{number}", "one")
        # What is sent at once is less than the rest: it goes away in the middle of the mail.
        held = hold_after(READERS // 4)
        deployment.sendgrid.wait_for_turn = held.wait_for_turn
        for words in WAYS[engine]:
            deployment.start(*words)
        wait_for(lambda: len(deployment.sendgrid.messages) == READERS // 4)
        with refused(deployment.installation.environment["NEWSLETTER_DATABASE_URL"]):
            held.count(1)
            time.sleep(AWAY_SECONDS)
            assert len(deployment.sendgrid.messages) < READERS
        wait_for(lambda: settled(deployment))
        assert {process.poll() for process in deployment.services.values()} == {None}, (
            deployment.log()
        )
        for pid in reversed(deployment.services):
            assert deployment.end(pid) == 0, deployment.log()

        states, taken = deployment.states(), Counter(deployment.sendgrid.addresses)
        doubtful = {email for email, state in states.items() if state == "unknown"}
        assert (len(states), max(taken.values())) == (READERS, 1)
        assert taken.keys() | doubtful == states.keys()
        assert len(doubtful) <= SendGridMailer.max_concurrent
        assert deployment.digests_made() == [("one", 1)]


def settled(deployment: Deployment) -> bool:
    found = deployment.states().values()
    return bool(found) and not {"pending", "sending"} & set(found)
