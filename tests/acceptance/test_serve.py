"""The long-running process as its operator meets it: it answers, it sends, it ends in order."""

from __future__ import annotations

import signal
import socket
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.fakes.installation import Installation

RUBRIC = """---
title: One
categories: [cs.LG]
---

## Criteria

1. Anything
   - Relevant: all of it.
"""


@pytest.fixture
def installation(tmp_path):
    made = Installation(tmp_path, NEWSLETTER_SOURCE="sample")
    (made.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    return made


def answer(url: str) -> int:
    """The status of a page, waiting for the process to come up."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with urlopen(url, timeout=120) as response:  # noqa: S310 - loopback
                return response.status
        except (URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_it_answers_and_ends_in_order_on_sigterm(installation):
    with installation.serving() as (process, port):
        assert answer(f"http://127.0.0.1:{port}/healthz") == 200
        assert answer(f"http://127.0.0.1:{port}/readyz") == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0


def test_a_port_that_is_taken_is_said(installation):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = installation.newsletter("serve", "--no-schedule", "--port", str(port))
    assert done.status == 1
    assert "Traceback" not in done.err
    assert "in use" in done.err


def test_the_scheduler_without_pages_ends_in_order(installation):
    with installation.begin("serve", "--no-web") as process:
        assert any("schedule running" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0


def test_serve_without_anything_to_serve_says_so(installation):
    done = installation.newsletter("serve", "--no-web", "--no-schedule")
    assert done.status == 2
    assert "nothing to serve" in done.err
