"""One rule for the way out: through a real CONNECT proxy, past a company's own authority."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from socketserver import StreamRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from newsletter import network
from newsletter.mailers import SendError
from newsletter.mailers.sendgrid.mailer import SendGridMailer
from newsletter.mailers.sendgrid.suppressions import SendGridSuppressions
from newsletter.mailers.smtp import SmtpMailer
from newsletter.scorers import CallFailure, ScorerError, ScoringRequest
from newsletter.scorers.claude.scorer import ClaudeScorer
from newsletter.settings import Settings, SettingsError
from newsletter.sources import SourceError
from newsletter.sources.arxiv.source import ArxivSource
from newsletter.sources.arxiv.transport import ArxivTransport
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.arxiv import FakeArxiv
from tests.fakes.connect_proxy import ConnectProxy
from tests.fakes.loopback import HttpHandler, Loopback, TcpServer
from tests.fakes.mail import email
from tests.fakes.scoring import MORNING, RUBRIC, papers, scores_in_abstract
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.sendgrid_lists import FakeLists
from tests.fakes.tls import Authority
from tests.fakes.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *(name.lower() for name in PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectProxy]:
    with ConnectProxy(tmp_path_factory.mktemp("proxy"), "me:pass%40word") as running:
        yield running


@dataclass(frozen=True)
class Vendor:
    """`name` is resolved by the proxy alone; `ask` makes one request to an address."""

    name: str
    stand_in: Callable[[], Loopback]
    ask: Callable[[str], object]


def ask_arxiv(url: str) -> object:
    made = ArxivSource(
        _settings(arxiv_api_url=f"{url}/api/query", arxiv_delay_seconds=0), lambda _: None
    )
    return made.submitted(["cs.LG"], MORNING, MORNING.replace(hour=23), lambda *_: None)


def ask_anthropic(url: str) -> object:
    made = ClaudeScorer(_settings(anthropic_base_url=url, anthropic_api_key="sk-ant-secret"))
    return made.ask(made.call(ScoringRequest(RUBRIC, tuple(papers(1))), MORNING)).usage


def ask_sendgrid(url: str) -> object:
    return SendGridMailer(_settings(sendgrid_url=url, sendgrid_api_key="SG.secret")).send(email())


def ask_lists(url: str) -> None:
    SendGridSuppressions(_settings(sendgrid_url=url, sendgrid_api_key="SG.secret")).add(
        ["a@example.org"]
    )


VENDORS = [
    Vendor("export.arxiv.test", FakeArxiv, ask_arxiv),
    Vendor("api.anthropic.test", lambda: FakeAnthropic(scores_in_abstract), ask_anthropic),
    Vendor("api.sendgrid.test", FakeSendGrid, ask_sendgrid),
    Vendor("lists.sendgrid.test", FakeLists, ask_lists),
]


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return request.param


@pytest.fixture
def address(vendor: Vendor, authority: Authority) -> Iterator[str]:
    """Where it is, over TLS, by a name that does not exist outside of the proxy."""
    with vendor.stand_in() as serving:
        serving.speak_tls(authority.server(vendor.name, "127.0.0.1"))
        yield f"https://{vendor.name}:{serving.port}"


def test_every_vendor_is_reached_through_the_proxy_and_the_companys_authority(
    vendor: Vendor,
    address: str,
    proxy: ConnectProxy,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
):
    """Red for Anthropic before, which ignored both, and for arXiv, which believed only certifi."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    before = len(proxy.asked)

    vendor.ask(address)

    assert set(proxy.asked[before:]) == {f"CONNECT {vendor.name}"}


def test_who_is_named_in_no_proxy_is_reached_without_it(
    vendor: Vendor,
    address: str,
    proxy: ConnectProxy,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    before = len(proxy.asked)

    vendor.ask(f"https://127.0.0.1:{urlsplit(address).port}")

    assert proxy.asked[before:] == []


def test_an_authority_that_nobody_named_is_not_believed(
    vendor: Vendor, address: str, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(Exception, match=r"(?i)certificate|SSLError"):
        vendor.ask(address)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_socks_proxy_is_named_as_such_by_every_vendor_in_the_same_words(
    vendor: Vendor, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "socks5h://me:password@127.0.0.1:1080")
    with pytest.raises(SettingsError) as caught:
        vendor.ask(f"https://{vendor.name}")
    assert str(caught.value) == (
        f"{name}: SOCKS proxies are not supported; set it to an HTTP proxy, http://HOST:PORT, "
        "or name in NO_PROXY the hosts that are reached without it"
    )


def test_a_request_that_the_proxy_refused_was_not_paid_for(
    proxy: ConnectProxy, authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("me:", "somebody:"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    with pytest.raises(ScorerError) as caught:
        ask_anthropic("https://api.anthropic.test")
    assert caught.value.failure is CallFailure.UNREACHABLE
    assert "407" in str(caught.value)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "https://api.example.org", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://api.example.org", "http://p:1"),
        ({"https_proxy": "http://p:1"}, "https://api.example.org", "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, "https://api.example.org", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://api.example.org", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://api.example.org", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://api.example.org", "http://p:1"),
        ({"HTTPS_PROXY": ""}, "https://api.example.org", None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "example.org"}, "https://api.example.org:8443", None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "ample.org"}, "https://example.org", "http://p:1"),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "*"}, "https://api.example.org", None),
        (
            {"HTTPS_PROXY": "socks5://p:1", "NO_PROXY": ".example.org"},
            "https://a.example.org",
            None,
        ),
    ],
)
def test_the_proxy_of_an_address(
    environment: dict[str, str], url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert network.proxy_for(url) == expected


def test_a_proxy_that_speaks_tls_itself_is_not_supported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "https://proxy:3128")
    with pytest.raises(SettingsError, match="HTTPS_PROXY: https:// proxies are not supported"):
        network.proxy_for("https://api.example.org")


def test_authorities_that_are_not_there_or_are_none_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    with pytest.raises(SettingsError, match="SSL_CERT_FILE: nothing exists at this path"):
        network.tls_context()
    (tmp_path / "absent.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match=r"absent\.pem: it holds no certificate"):
        network.tls_context()
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert network.tls_context().get_ca_certs() == []


def _settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


class Endless(Loopback):
    """Says a byte now and then; `left` when a client closed the connection before that ended."""

    def __init__(self, authority: Authority, handler: type[StreamRequestHandler]) -> None:
        self.left = threading.Event()
        self.bind(handler)
        self.speak_tls(authority.server("127.0.0.1"))

    def say(self, said: Any) -> None:
        until = time.monotonic() + 120
        with suppress(OSError):
            while time.monotonic() < until and not self.closing.wait(0.02):
                said.write(b"a")
            return
        self.left.set()


class HeaderWithoutEnd(HttpHandler):
    def get(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self.server.fake.say(self.wfile)

    def post(self) -> None:
        self.body()
        self.get()


class GreetingWithoutEnd(StreamRequestHandler):
    def handle(self) -> None:
        self.server.fake.say(self.wfile)


class EndlessSmtp(Endless):
    kind = TcpServer


def ask_arxiv_once(url: str) -> None:
    ArxivTransport("test", 0, read_timeout=0.1).ask(url, lambda _: None, attempts=1)


def send_by_smtp(url: str) -> None:
    SmtpMailer(_settings(smtp_url=url.replace("https:", "smtps:"))).send(email())


@pytest.mark.parametrize(
    ("kind", "handler", "ask", "error"),
    [
        (Endless, HeaderWithoutEnd, ask_arxiv_once, SourceError),
        (Endless, HeaderWithoutEnd, ask_anthropic, ScorerError),
        (Endless, HeaderWithoutEnd, ask_sendgrid, SendError),
        (EndlessSmtp, GreetingWithoutEnd, send_by_smtp, SendError),
    ],
    ids=["arxiv", "anthropic", "sendgrid", "smtp"],
)
def test_an_answer_of_a_byte_now_and_then_is_given_up(
    kind: type[Endless],
    handler: type[StreamRequestHandler],
    ask: Callable[[str], object],
    error: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """A timeout restarts with each byte: before, each of them waited as long as bytes came."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    for protocol in ("", "http/1.1"):
        # Of this authority alone. The timeout itself stays long enough for a handshake.
        network.tls_context(protocol).sslsocket_class = Impatient
    with kind(authority, handler) as endless:
        with pytest.raises(error):
            ask(endless.url)
        assert wait_until(endless.left.is_set)


class Impatient(network.TimedSocket):
    timeouts = 0.005
