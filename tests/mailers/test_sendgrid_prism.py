"""Every request of ours to SendGrid, answered by Prism with SendGrid's own
description."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from newsletter.mailers import ListName
from newsletter.mailers.sendgrid.batch import SendGridBatches
from newsletter.mailers.sendgrid.check import SendGridCheck
from newsletter.mailers.sendgrid.suppressions import SendGridSuppressions
from tests.fakes import prism
from tests.fakes.installation import Installation, sendgrid_environment
from tests.fakes.mail import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.prism import Prism

pytestmark = pytest.mark.skipif(bool(prism.missing()), reason=prism.missing())
RUBRIC = "---\ntitle: {}\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
SEND = ("POST", "/v3/mail/send", 202)
BATCH = ("POST", "/v3/mail/batch", 201)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prism]:
    with prism.Prism(tmp_path_factory.mktemp("prism")) as started:
        yield started


@pytest.fixture
def vendor(running: Prism) -> Prism:
    running.answered.clear()
    return running


def test_a_run_gets_no_refusal(vendor: Prism, tmp_path: Path):
    """Red (415 for each) when `post` sent JSON with the content type of a form."""
    given = {"NEWSLETTER_SOURCE": "sample", "NEWSLETTER_SCORER": "local"}
    installation = Installation(
        tmp_path, NEWSLETTER_GROUP_AUDIENCE="4", **given, **sendgrid_environment(vendor.url)
    )
    (installation.rubrics / "few.md").write_text(RUBRIC.format("Few"), encoding="utf-8")
    (installation.rubrics / "many.md").write_text(RUBRIC.format("Many"), encoding="utf-8")
    assert installation.newsletter("migrate").status == 0
    readers = [f"few{number}@example.org,few,Réader {number}" for number in range(3)]
    readers += [f"many{number}@example.org,many,Réader {number}" for number in range(5)]
    installation.subscribe(*readers, header="email,rubric,name")

    done = installation.newsletter("run")
    tested = installation.newsletter("test-send", "--to", "me@example.org", "--rubric", "few")

    assert (done.status, tested.status) == (0, 0), done.err + tested.err
    # Three mails, one group under a batch id of its own, one test.
    assert sorted(vendor.answered) == [BATCH] + [SEND] * 5


def test_what_is_no_mail_is_answered_as_described(vendor: Prism):
    """Red (400) when `new_batch_id` sent an empty object: it is described without a body."""
    given = settings(
        sendgrid_api_key="SG.key",
        sendgrid_url=vendor.url,
        from_email="digest@example.org",
        inbound_secret="s" * 30,
        public_url="https://digest.example.org",
    )
    groups, lists = SendGridBatches(given), SendGridSuppressions(given)
    check = SendGridCheck(given, timeout=240.0)
    batch = groups.new_batch_id()
    assert groups.cancel(batch)
    groups.release(batch)
    for name in ListName:
        assert list(lists.read(name))
    lists.add(["ann@example.org", "bob@example.org"])
    lists.remove("ann+tag@example.org")
    lists.erase(["ann@example.org"])
    check.records()
    check.hooks()

    statuses = [status for _, _, status in vendor.answered]
    assert statuses[:3] == [201, 201, 204]
    assert statuses[3:8] == [200] * 5
    assert statuses[8:11] == [201, 204, 202]
    assert set(statuses[11:]) == {200}
    assert len(statuses) == 14
