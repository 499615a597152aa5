"""One paper looked up for a person: one request, in its turn, and never for long."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from newsletter.settings import Settings
from newsletter.sources import SourceBusyError, SourceError
from newsletter.sources.arxiv.source import ArxivSource
from newsletter.sources.arxiv.transport import MAX_WAIT_SECONDS
from tests.fakes.arxiv import FakeArxiv, Reply, row

NOON = datetime(2025, 9, 22, 12, tzinfo=UTC)
KNOWN = [row("2509.00001v2", NOON), row("math/0309136v1", NOON)]


class Queue:
    """A shared queue whose next turn is so many seconds away."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.held = 0.0

    def wait(self) -> float:
        wait, self.seconds = self.seconds, 0.0
        return wait

    def hold(self, seconds: float) -> None:
        self.held = seconds


@pytest.fixture
def arxiv():
    with FakeArxiv(KNOWN) as fake:
        yield fake


def source_of(fake, slept, delay=0.0):
    settings = Settings(_env_file=None, arxiv_api_url=fake.url, arxiv_delay_seconds=delay)
    return ArxivSource(settings, sleep=slept.append)


def test_one_request_finds_a_paper_or_none(arxiv):
    source = source_of(arxiv, [])
    assert source.look_up("2509.00001").version == 2
    assert source.look_up("math/0309136").id == "math/0309136"
    assert source.look_up("2509.99999") is None
    assert [one.params["id_list"] for one in arxiv.requests] == [
        "2509.00001",
        "math/0309136",
        "2509.99999",
    ]


@pytest.mark.parametrize("odd", ["", "2509.1", "2509.00001&max_results=9", "x" * 5000, "../abs"])
def test_what_is_no_id_is_not_asked_about(arxiv, odd):
    assert source_of(arxiv, []).look_up(odd) is None
    assert arxiv.requests == []


def test_a_failure_is_not_repeated(arxiv):
    slept = []
    arxiv.fail(lambda _request, _due: Reply(b"busy", status=503), times=9)
    with pytest.raises(SourceError, match="503"):
        source_of(arxiv, slept).look_up("2509.00001")
    assert (len(arxiv.requests), slept) == (1, [])


def test_it_keeps_the_rate_limit_of_all_requests(arxiv):
    slept = []
    source = source_of(arxiv, slept, delay=3.0)
    for _ in range(2):
        source.look_up("2509.00001")
    assert len(slept) == 1
    assert 2 < slept[0] <= 3


@pytest.mark.parametrize(("seconds", "asked"), [(2.0, 1), (MAX_WAIT_SECONDS + 1, 0)])
def test_it_waits_for_a_short_turn_only(arxiv, seconds, asked):
    slept = []
    source = source_of(arxiv, slept)
    source.use_queue(Queue(seconds))
    if asked:
        assert source.look_up("2509.00001")
        assert slept == [seconds]
    else:
        with pytest.raises(SourceBusyError, match="in a minute"):
            source.look_up("2509.00001")
        assert slept == []
    assert len(arxiv.requests) == asked


def test_one_person_waits_at_a_time(arxiv):
    entered, leave = threading.Event(), threading.Event()

    def slow(_request, due):
        entered.set()
        leave.wait(240)
        return due

    arxiv.fail(slow)
    source = source_of(arxiv, [])
    found = []
    first = threading.Thread(target=lambda: found.append(source.look_up("2509.00001")))
    first.start()
    assert entered.wait(240)
    for _ in range(5):
        with pytest.raises(SourceBusyError):
            source.look_up("math/0309136")
    leave.set()
    first.join()
    assert (len(found), len(arxiv.requests)) == (1, 1)
    assert source.look_up("math/0309136")
