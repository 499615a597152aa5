"""A reader of two rubrics after `db copy`, after a restore, and before `doctor`, by command."""

from __future__ import annotations

import json
from email.utils import parseaddr
from typing import TYPE_CHECKING

import pytest

from newsletter.store import Store
from newsletter.store.tables import delivery, subscription
from tests.fakes.installation import Installation

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

RUBRIC = "---\ntitle: {}\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
ADA, BO = "ada@example.org", "bo@example.org"
HEADER = "email,rubric,timezone,send_at,days,format"
NOTHING_SENT = "no mail is known to be accepted: newsletter deliveries list"
DAYS = "mon tue wed thu fri sat sun"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """Ada reads one and two, at 00:01 of their zone; Bo reads one. Ada left three."""
    made = Installation(tmp_path, NEWSLETTER_SOURCE="sample")
    for slug in ("one", "two", "three", "four"):
        (made.rubrics / f"{slug}.md").write_text(RUBRIC.format(slug.title()), encoding="utf-8")
    rows = (
        f"{ADA},one,,00:01,,",
        f"{ADA},two,,,{DAYS},titles",
        f"{ADA},three,,,,",
        f"{BO},one,,,,",
    )
    made.subscribe(*rows, header=HEADER)
    left = made.newsletter("subscribers", "remove", ADA, "--rubric", "three", "--yes")
    assert left.status == 0, left.err
    return made


def ran(installation: Installation, *, held: str = "", **environment: str) -> list[tuple[str, str]]:
    """Address and list of each mail that a run sends; `held` rubrics are told as such."""
    before = {mail["Message-ID"] for mail in installation.mails()}
    done = installation.newsletter("run", **environment)
    assert done.err == (f"newsletter: {held}: {NOTHING_SENT}\n" if held else "")
    assert done.status == bool(held)
    sent = [mail for mail in installation.mails() if mail["Message-ID"] not in before]
    return sorted(received(mail) for mail in sent)


def received(mail: EmailMessage) -> tuple[str, str]:
    return parseaddr(mail["To"])[1], mail["List-Id"].strip("<>").partition(".")[0]


THREE_MAILS = [(ADA, "one"), (ADA, "two"), (BO, "one")]


def exported(installation: Installation, **environment: str) -> str:
    return installation.newsletter("subscribers", "export", **environment).out


def subscription_ids(url: str) -> dict[str, str]:
    store = Store(url)
    with store.read() as tx:
        rows = tx.execute(subscription.select()).all()
    store.close()
    return {row.id: row.rubric for row in rows}


def test_a_copy_keeps_both_subscriptions_with_their_ids_and_mails_nothing_twice(
    installation: Installation, store_url: str
) -> None:
    there = store_url.replace("newsletter.db", "new.db")
    moved = {"NEWSLETTER_DATABASE_URL": there}
    assert ran(installation) == THREE_MAILS
    before = (
        exported(installation),
        subscription_ids(installation.environment["NEWSLETTER_DATABASE_URL"]),
    )
    done = installation.newsletter("db", "copy", "--to", there)
    assert done.status == 0, done.err
    assert (exported(installation, **moved), subscription_ids(there)) == before
    assert ran(installation, **moved) == []
    left = installation.newsletter(
        "subscribers", "remove", ADA, "--rubric", "two", "--yes", **moved
    )
    assert left.status == 0, left.err
    assert states(installation, **moved) == {
        "one": "active",
        "two": "unsubscribed",
        "three": "unsubscribed",
    }


def states(installation: Installation, **environment: str) -> dict[str, str]:
    found = json.loads(installation.newsletter("subscribers", "list", "--json", **environment).out)
    return {one["rubric"]: one["state"] for one in found if one["email"] == ADA}


def test_a_mail_of_each_rubric_is_held_after_a_restore_but_not_one_that_was_added_later(
    installation: Installation,
) -> None:
    assert installation.newsletter("db", "backup", "saved.db").status == 0
    assert ran(installation) == THREE_MAILS
    done = installation.newsletter("db", "restore", "saved.db")
    assert done.status == 0, done.err
    added = installation.newsletter(
        "subscribers", "add", ADA, "--rubric", "four", "--consent", "wrote"
    )
    assert added.status == 0, added.err
    assert ran(installation, held="one, two") == [(ADA, "four")]
    listed = json.loads(installation.newsletter("deliveries", "list", "--json").out)
    assert sorted((one["email"], one["rubric"]) for one in listed) == THREE_MAILS
    [two] = [one["id"] for one in listed if one["rubric"] == "two"]
    sent = installation.newsletter("deliveries", "resolve", two, "--sent")
    assert sent.status == 0, sent.err
    assert "2 held mails" in installation.newsletter("db", "release", "--resend").out
    assert ran(installation) == [(ADA, "one"), (BO, "one")]
    assert ran(installation) == []


def test_mail_that_waited_in_the_backup_is_held_for_each_rubric(installation: Installation) -> None:
    assert ran(installation) == THREE_MAILS
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    with store.begin() as tx:
        tx.execute(delivery.update().values(state="pending"))
    store.close()
    assert installation.newsletter("db", "backup", "saved.db").status == 0
    done = installation.newsletter("db", "restore", "saved.db")
    assert "3 waiting mails are held" in done.out, done.err
    assert ran(installation, held="one, two") == []
    assert "3 held mails" in installation.newsletter("db", "release", "--sent").out
    assert ran(installation) == []


def test_doctor_counts_subscriptions_not_readers(installation: Installation) -> None:
    def said() -> tuple[str, str]:
        done = installation.newsletter("doctor", "--offline", "--json")
        found = {one["check"]: one for one in json.loads(done.out)["checks"]}
        return found["readers"]["state"], found["readers"]["said"]

    readers = "3 subscriptions to 2 rubrics"
    assert said() == ("ok", f"{readers}; none of four, three, which costs nothing")
    (installation.rubrics / "two.md").unlink()
    assert said() == ("fail", "no file for two, with 1 subscription")


def test_an_export_says_how_many_subscriptions_are_not_in_it(installation: Installation) -> None:
    done = installation.newsletter("subscribers", "export")
    rows = [line.split(",")[:2] for line in done.out.splitlines()[1:]]
    assert sorted(rows) == [[ADA, "one"], [ADA, "two"], [BO, "one"]]
    assert done.err == "not in it: 1 subscription, pending, paused or unsubscribed\n"
    (installation.folder / "all.csv").write_text(done.out, encoding="utf-8")
    again = installation.newsletter("subscribers", "import", "all.csv", "--consent", "asked")
    assert again.out.startswith("0 added, 0 updated, 3 unchanged"), again.err
