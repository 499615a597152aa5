"""What a stranger's connection may take of `serve`: time, places, memory."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import closing

import pytest
from pydantic import SecretStr
from starlette.responses import Response
from starlette.routing import Route

from newsletter.web.app import create_app
from newsletter.web.connection_limits import Connection
from newsletter.web.webhooks import MAX_LARGE_BODIES, SMALL_BODY
from tests.fakes.browser import served
from tests.fakes.pages import make_site
from tests.fakes.waiting import becomes

FORM = "POST /subscribe HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nemail="


class Hasty(Connection):
    timeouts = {"head": 0.2, "body": 0.2, "answer": 0.2}  # noqa: RUF012 - as its parent has it
    max_connections = 5


def line_to(port: int, text: str = "") -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), 5)
    line.sendall(text.encode())
    return line


def is_ended(line: socket.socket, seconds: float = 5) -> bool:
    line.settimeout(seconds)
    try:
        return line.recv(65536) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("sent", ["", "GET / HTTP/1.1\r\nHost:", FORM])
def test_a_request_that_is_not_sent_in_time_is_ended(store, sent: str, caplog):
    caplog.set_level(logging.INFO)
    with (
        served(create_app(make_site(store)), Hasty) as web,
        closing(line_to(web.port, sent)) as line,
    ):
        assert not is_ended(line, 0.1)
        assert is_ended(line)
        assert web.get("/healthz").status == 200
    assert "a connection was ended: its" in caplog.text
    assert not [one for one in caplog.records if one.exc_info]


def test_a_head_that_trickles_has_no_more_time_than_one_that_stands(store):
    with (
        served(create_app(make_site(store)), Hasty) as web,
        closing(line_to(web.port, "GET ")) as line,
    ):
        for _ in range(3):
            time.sleep(0.05)
            line.sendall(b"/")
        assert is_ended(line, 0.3)


def test_a_request_on_a_connection_that_was_kept_has_its_own_time(store):
    whole = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with served(create_app(make_site(store)), Hasty) as web, closing(line_to(web.port)) as line:
        for _ in range(4):
            line.sendall(whole.encode())
            answer = b""
            while not answer.endswith(b"ok\n"):
                answer += line.recv(65536)
            time.sleep(0.1)
        line.sendall(b"GET /healthz")
        assert is_ended(line)


def test_whoever_does_not_read_the_answer_is_left(store):
    long = Route("/long", lambda _request: Response(b"x" * 20 * 2**20))
    with served(create_app(make_site(store), [long]), Hasty) as web:
        ask = "GET /long HTTP/1.1\r\nHost: x\r\n\r\n"
        with closing(line_to(web.port, ask)) as line:
            time.sleep(0.4)
            read = 0
            with pytest.raises(ConnectionResetError):
                while piece := line.recv(2**20):
                    read += len(piece)
                raise ConnectionResetError
    assert read < 20 * 2**20


def test_a_post_that_breaks_off_is_one_line_and_no_traceback(store, caplog):
    caplog.set_level(logging.INFO)
    with served(create_app(make_site(store))) as web:
        line_to(web.port, FORM).close()
        assert becomes(lambda: "a POST request ended before all of it was sent" in caplog.text)
    assert len([one for one in caplog.records if one.name.startswith("newsletter")]) == 1
    assert not [one for one in caplog.records if one.levelno > logging.INFO]
    assert not [one for one in caplog.records if one.exc_info]


def test_more_connections_than_there_is_room_for_end_the_oldest(store, caplog):
    class Silent(Hasty):
        """It has not said yet that there is no room: it does so once a minute."""

    with served(create_app(make_site(store)), Silent) as web:
        lines = [line_to(web.port) for _ in range(Hasty.max_connections)]
        assert web.get("/healthz").status == 200
        assert is_ended(lines[0], 0.1)
        for line in lines:
            line.close()
    assert "5 connections at once" in caplog.text


def head(path: str, size: int, more: str = "") -> str:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{more}\r\n"


@pytest.mark.parametrize(
    ("given", "path", "status"),
    [
        ({}, "/hooks/sendgrid/events", b" 404 "),
        ({"sendgrid_event_key": "k"}, "/hooks/sendgrid/events", b" 403 "),
        ({}, "/hooks/sendgrid/inbound/secret", b" 503 "),
        ({"inbound_secret": SecretStr("right")}, "/hooks/sendgrid/inbound/wrong", b" 503 "),
        ({"inbound_secret": SecretStr("right")}, "/hooks/sendgrid/inbound/right", b" 413 "),
        ({}, "/subscribe", b" 413 "),
    ],
)
def test_a_hook_refuses_before_the_body_is_sent(store, given, path, status):
    app = create_app(make_site(store, **given))
    with served(app) as web, closing(line_to(web.port, head(path, 10**9))) as line:
        assert status in line.recv(65536).splitlines()[0]


def test_few_large_bodies_are_read_at_once_and_small_ones_pass(store):
    app = create_app(make_site(store, inbound_secret=SecretStr("right")))
    path, large = "/hooks/sendgrid/inbound/right", 2 * SMALL_BODY
    with served(app) as web:
        slow = [line_to(web.port, head(path, large)) for _ in range(MAX_LARGE_BODIES)]
        for line in slow:
            line.sendall(b"x" * (large - 1))
        time.sleep(0.1)
        with closing(line_to(web.port, head(path, large))) as late:
            late.sendall(b"x" * large)
            late.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.recv(9)
            assert web.ask("POST", path, b"x", {}).status == 200
            slow[0].sendall(b"x")
            late.settimeout(5)
            assert late.recv(65536).startswith(b"HTTP/1.1 200")
        for line in slow:
            line.close()
