"""A small arXiv on loopback: its query API over rows like those of the corpus, faults included.

Queries are parsed as the API's manual documents them, and what that refuses is refused
(`tests.fakes.arxiv_query`): status 400 with an error entry.
Its feed is there when `feed` is set: a function of the categories asked for that answers lines
like those of `line`, or None where arXiv answers 404. `tests.fakes.arxiv_timeline` fills both by
the clock.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, quoteattr

from newsletter.domain.announcements import announcement
from newsletter.domain.model import Paper
from tests.fakes.arxiv_query import Parameters, RefusedError, bare, parameters
from tests.fakes.loopback import HttpHandler, Loopback

if TYPE_CHECKING:
    import ssl

Row = Mapping[str, Any]
SHOWN = (
    "id",
    "title",
    "authors",
    "abstract",
    "primary_category",
    "categories",
    "published",
    "updated",
    "comment",
    "journal_ref",
    "doi",
)
LARGEST_PAGE = 2_000


@dataclass(frozen=True)
class Request:
    """One request as it came: `at` is the server's monotonic clock."""

    params: dict[str, str]
    headers: dict[str, str]
    at: float
    path: str = "/api/query"

    @property
    def start(self) -> int:
        return int(self.params.get("start", "0"))


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """What Content-Length says where it does not say the truth."""
    pause: float = 0.0
    """Seconds of silence in the middle of the body."""


Find = Callable[[Parameters], Iterable[Row]]
"""The rows that may answer a query's parameters; they are sifted all the same."""
Feed = Callable[[Sequence[str]], Sequence[Row] | None]
Fault = Callable[[Request, Reply], Reply]
"""Turns the reply that was due into the one that is sent."""


class FakeArxiv(Loopback):
    """`with FakeArxiv(rows) as fake:` serves at `fake.url` and notes `fake.requests`.

    `rows` may be changed while it serves. `fail(fault, times=2, after=1)` spoils the second and
    third request from now on.
    """

    def __init__(
        self,
        rows: Iterable[Row] | Find = (),
        *,
        feed: Feed | None = None,
        largest_page: int = LARGEST_PAGE,
    ) -> None:
        self.find = rows if callable(rows) else None
        self.rows = [] if callable(rows) else list(rows)
        self.feed = feed
        self.feed_faults: deque[Fault] = deque()
        self.largest_page = largest_page
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None

    def fail(self, fault: Fault, *, times: int = 1, after: int = 0) -> None:
        self.faults.extend([_as_it_is] * after + [fault] * times)

    def __enter__(self) -> Self:
        self.bind(_Handler)
        self.rss_url = f"{self.url}/rss"
        self.url += "/api/query"
        return super().__enter__()

    def speak_tls(self, context: ssl.SSLContext) -> None:
        super().speak_tls(context)
        self.rss_url = self.rss_url.replace("http:", "https:")

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        if request.path.startswith("/rss/"):
            fault = self.feed_faults.popleft() if self.feed_faults else _as_it_is
            return fault(request, self._feed(request))
        fault = self.faults.popleft() if self.faults else self.always or _as_it_is
        try:
            page = Reply(self._page(request))
        except RefusedError as refused:
            page = Reply(error_page(str(refused)), 400)
        return fault(request, page)

    def _feed(self, request: Request) -> Reply:
        categories = request.path.removeprefix("/rss/").split("+")
        lines = self.feed(categories) if self.feed else None
        return Reply(b"no such feed", 404) if lines is None else Reply(rss(lines))

    def _page(self, request: Request) -> bytes:
        asked = parameters(request.params)
        rows = (self.find(asked) if self.find else self.rows) if asked.asks else ()
        chosen = sorted(
            (row for row in rows if asked.matches(row)),
            key=asked.order,
            reverse=not asked.ascending,
        )
        size = min(asked.size, self.largest_page)
        return atom(chosen[asked.start : asked.start + size], len(chosen), asked.start, size)


def into_window(rows: Iterable[Row], day: date) -> list[dict[str, Any]]:
    """The rows as arXiv would show them, submitted in order through the window of `day`.

    Only what a program may see is kept, the version in the id as well.
    """
    window = announcement(day)
    shown = [{name: row.get(name) for name in SHOWN} for row in rows]
    shown.sort(key=lambda row: (row["published"], row["id"]))
    step = (window.end - window.start) / (len(shown) or 1)
    for number, row in enumerate(shown):
        moment = (window.start + step * number).replace(microsecond=0)
        row["published"] = row["updated"] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    return shown


def row(
    paper_id: str, published: datetime, categories: Sequence[str] = ("cs.LG",), **other: object
) -> dict[str, Any]:
    """A paper in one line of a test."""
    moment = f"{published.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "id": paper_id,
        "title": f"Title of {paper_id}",
        "authors": ["Ada Author"],
        "abstract": f"Abstract of {paper_id}.",
        "primary_category": categories[0],
        "categories": list(categories),
        "published": moment,
        "updated": moment,
        "comment": None,
        **other,
    }


def paper_of(shown: Row) -> Paper:
    """A row as the newsletter keeps it."""
    paper_id, _, version = shown["id"].rpartition("v")
    return Paper(
        id=paper_id,
        version=int(version),
        title=shown["title"],
        authors=tuple(shown["authors"]),
        abstract=shown["abstract"],
        primary_category=shown["primary_category"],
        categories=tuple(shown["categories"]),
        published=datetime.fromisoformat(shown["published"]),
        updated=datetime.fromisoformat(shown["updated"]),
        comment=shown["comment"] or "",
        journal_ref=shown.get("journal_ref") or "",
        doi=shown.get("doi") or "",
    )


def atom(rows: Sequence[Row], total: int, start: int = 0, size: int = 10) -> bytes:
    """A page in the layout of the recorded ones."""
    head = (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"'
        ' xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">\n'
        "  <id>https://arxiv.org/api/loopback</id>\n"
        "  <title>arXiv Query</title>\n"
        f"  <opensearch:itemsPerPage>{size}</opensearch:itemsPerPage>\n"
        f"  <opensearch:totalResults>{total}</opensearch:totalResults>\n"
        f"  <opensearch:startIndex>{start}</opensearch:startIndex>\n"
    )
    return (head + "".join(map(_entry, rows)) + "</feed>\n").encode()


def line(row: Row, kind: str = "new", version: int = 1, **other: object) -> dict[str, Any]:
    """A paper as the feed names it."""
    return {**row, "kind": kind, "version": version, **other}


def rss(lines: Sequence[Row]) -> bytes:
    """The announcement feed, in the layout of the recorded ones."""
    items = "".join(
        f"<item><title>{escape(row['title'])}</title>"
        f"<link>https://arxiv.org/abs/{bare(row['id'])}</link>"
        f"<description>arXiv:{bare(row['id'])}v{row['version']} Announce Type: {row['kind']} \n"
        f"Abstract: {escape(row['abstract'])}</description>"
        f'<guid isPermaLink="false">oai:arXiv.org:{bare(row["id"])}v{row["version"]}</guid>'
        + "".join(f"<category>{name}</category>" for name in row["categories"])
        + f"<arxiv:announce_type>{row['kind']}</arxiv:announce_type>"
        f"<dc:creator>{escape(', '.join(row['authors']))}</dc:creator></item>\n"
        for row in lines
    )
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<rss xmlns:arxiv="http://arxiv.org/schemas/atom"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" version="2.0"><channel>'
        f"<title>updates on arXiv.org</title>\n{items}</channel></rss>\n"
    ).encode()


def status(code: int, **headers: str) -> Fault:
    """`status(429, Retry_After="7")`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request, _reply: Reply(b"slow down", code, named)


def html(text: str = "<!DOCTYPE html><html><body>Down for maintenance<br></body></html>") -> Fault:
    return lambda _request, reply: replace(reply, body=text.encode())


def empty_page(total: int | None = None) -> Fault:
    """No entries, the total of the true page or the one given."""

    def fault(request: Request, reply: Reply) -> Reply:
        said = re.search(rb"totalResults>(\d+)<", reply.body)
        assert said is not None
        return replace(
            reply, body=atom([], int(said[1]) if total is None else total, request.start)
        )

    return fault


def cut(share: float = 0.6) -> Fault:
    """A document that ends too early, sent as if it were whole."""
    return lambda _request, reply: replace(reply, body=reply.body[: int(len(reply.body) * share)])


def broken_off(_request: Request, reply: Reply) -> Reply:
    """Fewer bytes than Content-Length promised."""
    return replace(reply, body=reply.body[: len(reply.body) // 2], length=len(reply.body))


def stall(seconds: float) -> Fault:
    return lambda _request, reply: replace(reply, pause=seconds)


def without(element: str) -> Fault:
    """The first `element` of the first entry is missing."""
    pattern = rf"(<entry>.*?)<{element}\b[^>]*?(?:/>|>.*?</{element}>)".encode()
    return lambda _request, reply: replace(
        reply, body=re.sub(pattern, rb"\1", reply.body, count=1, flags=re.DOTALL)
    )


def replaced(old: str, new: str) -> Fault:
    return lambda _request, reply: replace(
        reply, body=reply.body.replace(old.encode(), new.encode())
    )


def shifted(rows: Sequence[Row], by: int, size: int) -> Fault:
    """The page of `rows` that begins `by` papers too early: it overlaps the one before."""

    def fault(request: Request, _reply: Reply) -> Reply:
        start = request.start - by
        return Reply(atom(rows[start : start + size], len(rows), request.start, size))

    return fault


def first_page(rows: Sequence[Row], size: int) -> Fault:
    """The first page, whatever page was asked for."""
    return lambda _request, _reply: Reply(atom(rows[:size], len(rows), 0, size))


def error_entry(reason: str = "incorrect id format for abc") -> Fault:
    return lambda _request, reply: replace(reply, body=error_page(reason))


def error_page(reason: str) -> bytes:
    """A feed with the error as its only entry (3.4 of the manual)."""
    page = (
        '<feed xmlns="http://www.w3.org/2005/Atom"'
        ' xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">'
        "<opensearch:totalResults>1</opensearch:totalResults>"
        "<entry><id>https://arxiv.org/api/errors#x</id><title>Error</title>"
        f"<summary>{escape(reason)}</summary></entry></feed>"
    )
    return page.encode()


def _as_it_is(_request: Request, reply: Reply) -> Reply:
    return reply


def _entry(row: Row) -> str:
    paper_id = row["id"] if re.search(r"v\d+$", row["id"]) else f"{row['id']}v1"
    authors = "".join(
        f"    <author>\n      <name>{escape(name)}</name>\n    </author>\n"
        for name in row["authors"]
    )
    terms = "".join(
        f'    <category term={quoteattr(name)} scheme="http://arxiv.org/schemas/atom"/>\n'
        for name in row["categories"]
    )
    noted = "".join(
        f"    <arxiv:{name}>{escape(row[name])}</arxiv:{name}>\n"
        for name in ("comment", "journal_ref", "doi")
        if row.get(name)
    )
    return (
        f"  <entry>\n    <id>http://arxiv.org/abs/{paper_id}</id>\n"
        f"    <title>{escape(row['title'])}</title>\n"
        f"    <updated>{row['updated']}</updated>\n"
        f'    <link href="https://arxiv.org/abs/{paper_id}" rel="alternate" type="text/html"/>\n'
        f"    <summary>{escape(row['abstract'])}</summary>\n"
        f"{terms}    <published>{row['published']}</published>\n{noted}"
        f"    <arxiv:primary_category term={quoteattr(row['primary_category'])}/>\n"
        f"{authors}  </entry>\n"
    )


class _Handler(HttpHandler):
    def get(self) -> None:
        fake = self.server.fake
        path, _, query = self.path.partition("?")
        params = dict(parse_qsl(query))
        reply = fake.answer(Request(params, dict(self.headers), time.monotonic(), path))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/atom+xml; charset=utf-8")
        self.send_header("Content-Length", str(reply.length or len(reply.body)))
        self.end_headers()
        half = len(reply.body) // 2 if reply.pause else 0
        self.wfile.write(reply.body[:half])
        fake.closing.wait(reply.pause)
        if not fake.closing.is_set():
            self.wfile.write(reply.body[half:])
