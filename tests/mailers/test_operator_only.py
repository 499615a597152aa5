"""Mail to the operator's own address alone: what leaves, and what never does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from newsletter import bootstrap
from newsletter.mailers import OperatorOnlyMailer, SendError, SendFailure, name_of
from tests.fakes.mail import email, outbox_settings
from tests.fakes.pages import Mailbox

if TYPE_CHECKING:
    from pathlib import Path

OPERATOR = "me@example.org"


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.mark.parametrize("address", ["other@example.org", "me@example.com", "me+1@example.org", ""])
def test_another_address_stops_the_run(box: Mailbox, address: str) -> None:
    with pytest.raises(SendError, match="NEWSLETTER_PUBLIC_URL") as refused:
        OperatorOnlyMailer(box, OPERATOR).send(replace(email(), to_email=address))
    assert refused.value.failure is SendFailure.HALT
    assert not box.mails


@pytest.mark.parametrize("address", [OPERATOR, "Me@Example.ORG"])
def test_no_header_names_a_page_or_an_address_that_nobody_reads(box: Mailbox, address: str) -> None:
    OperatorOnlyMailer(box, OPERATOR).send(replace(email(), to_email=address))
    [sent] = box.mails
    assert sent.reply_to == OPERATOR
    headers = dict(sent.headers)
    assert headers["List-Unsubscribe"] == f"<mailto:{OPERATOR}?subject=unsubscribe>"
    assert "List-Unsubscribe-Post" not in headers
    assert "List-Archive" not in headers
    assert headers["List-Id"]


def test_a_mail_that_is_no_digest_gets_no_list_header(box: Mailbox) -> None:
    plain = replace(email(), to_email=OPERATOR, headers=(("Auto-Submitted", "auto-generated"),))
    OperatorOnlyMailer(box, OPERATOR).send(plain)
    assert box.mails[0].headers == plain.headers


def test_deliveries_record_the_mailer_inside(tmp_path: Path) -> None:
    files = bootstrap.build_mailer(outbox_settings(tmp_path))
    assert name_of(OperatorOnlyMailer(files, OPERATOR)) == "outbox"
