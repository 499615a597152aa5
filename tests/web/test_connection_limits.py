"""Timeouts, connection limits and body limits of the web server."""

from __future__ import annotations

import logging
import re
import socket
import time
from contextlib import closing, suppress

import pytest
from pydantic import SecretStr
from starlette.responses import Response
from starlette.routing import Route

from newsletter.web.app import create_app
from newsletter.web.connection_limits import Connection
from newsletter.web.webhooks import MAX_LARGE_BODIES, SMALL_BODY
from tests.fakes.browser import served
from tests.fakes.pages import make_site
from tests.fakes.waiting import wait_until

FORM = "POST /subscribe HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nemail="


class ShortTimeouts(Connection):
    timeouts = {"head": 0.2, "body": 0.2, "answer": 0.2}  # noqa: RUF012 - as its parent has it


class LongerHead(Connection):
    timeouts = {"head": 2.0, "body": 60.0, "answer": 60.0}  # noqa: RUF012 - as its parent has it


def connect(port: int, text: str = "") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), 240)
    client.sendall(text.encode())
    return client


def is_closed(client: socket.socket, seconds: float = 120) -> bool:
    client.settimeout(seconds)
    try:
        return client.recv(65536) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("sent", ["", "GET / HTTP/1.1\r\nHost:", FORM])
def test_an_incomplete_request_is_closed_after_its_timeout(store, sent: str, caplog):
    caplog.set_level(logging.INFO)
    with (
        served(create_app(make_site(store)), ShortTimeouts) as web,
        closing(connect(web.port, sent)) as client,
    ):
        assert is_closed(client)
        assert web.get("/healthz").status == 200
    assert re.search(r"connection closed: its (head|body) took more than 0.2 s", caplog.text)
    assert not [one for one in caplog.records if one.exc_info]


def test_a_slow_request_head_does_not_extend_its_timeout(store):
    with (
        served(create_app(make_site(store)), ShortTimeouts) as web,
        closing(connect(web.port, "GET ")) as client,
    ):
        until = time.monotonic() + 60
        with suppress(ConnectionError):
            while not is_closed(client, 0.05):
                client.sendall(b"/")
                assert time.monotonic() < until


def test_each_request_of_a_keep_alive_connection_has_its_own_timeout(store):
    whole = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with (
        served(create_app(make_site(store)), LongerHead) as web,
        closing(connect(web.port)) as client,
    ):
        for _ in range(4):
            client.sendall(whole.encode())
            answer = b""
            while not answer.endswith(b"ok\n"):
                piece = client.recv(65536)
                assert piece
                answer += piece
            time.sleep(0.6)
        client.sendall(b"GET /healthz")
        assert is_closed(client)


def test_a_client_that_does_not_read_the_response_is_closed(store, caplog):
    caplog.set_level(logging.INFO)
    long = Route("/long", lambda _request: Response(b"x" * 20 * 2**20))
    with served(create_app(make_site(store), [long]), ShortTimeouts) as web:
        ask = "GET /long HTTP/1.1\r\nHost: x\r\n\r\n"
        with closing(connect(web.port, ask)) as client:
            assert wait_until(lambda: "its answer took" in caplog.text)
            read = 0
            with pytest.raises(ConnectionResetError):
                while piece := client.recv(2**20):
                    read += len(piece)
                raise ConnectionResetError
    assert read < 20 * 2**20


def test_a_broken_off_post_logs_one_line_without_traceback(store, caplog):
    caplog.set_level(logging.INFO)
    with served(create_app(make_site(store))) as web:
        connect(web.port, FORM).close()
        assert wait_until(lambda: "client disconnected during a POST request" in caplog.text)
    assert len([one for one in caplog.records if one.name.startswith("newsletter")]) == 1
    assert not [one for one in caplog.records if one.levelno > logging.INFO]
    assert not [one for one in caplog.records if one.exc_info]


def test_too_many_connections_close_the_oldest(store, caplog):
    class Silent(Connection):
        """Has not warned yet: a class warns once a minute."""

        max_connections = 5

    with served(create_app(make_site(store)), Silent) as web:
        clients = [connect(web.port) for _ in range(Silent.max_connections)]
        assert web.get("/healthz").status == 200
        assert is_closed(clients[0])
        for client in clients:
            client.close()
    assert "5 connections open" in caplog.text


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
def test_requests_are_refused_before_the_body_is_sent(store, given, path, status):
    app = create_app(make_site(store, **given))
    with served(app) as web, closing(connect(web.port, head(path, 10**9))) as client:
        assert status in client.recv(65536).splitlines()[0]


def test_few_large_bodies_are_read_at_once_and_small_ones_are_not_delayed(store):
    app = create_app(make_site(store, inbound_secret=SecretStr("right")))
    path, large = "/hooks/sendgrid/inbound/right", 2 * SMALL_BODY
    with served(app) as web:
        slow = [connect(web.port, head(path, large)) for _ in range(MAX_LARGE_BODIES)]
        for client in slow:
            client.sendall(b"x" * (large - 1))
        # When these are answered, the server has begun with all that came before.
        for _ in range(3):
            assert web.get("/healthz").status == 200
        with closing(connect(web.port, head(path, large))) as late:
            late.sendall(b"x" * large)
            late.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.recv(9)
            assert web.ask("POST", path, b"x", {}).status == 200
            slow[0].sendall(b"x")
            late.settimeout(120)
            assert late.recv(65536).startswith(b"HTTP/1.1 200")
        for client in slow:
            client.close()
