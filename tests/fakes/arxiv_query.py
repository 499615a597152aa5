"""The query language of arXiv's API, as its manual documents it.

    query = parse('(cat:cs.AI OR cat:cs.LG) AND submittedDate:[202509191800 TO 202509221800]')
    query.matches(row), query.bounds

Stricter than the manual where that is silent: AND and OR beside each other need parentheses, and
what is no query is refused. `parameters` holds the other parameters to their documented values.
(info.arxiv.org/help/api/user-manual.html, 3.1.1 and 5.1)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Row = Mapping[str, Any]
TOKEN = re.compile(
    r'\s*(?P<mark>[()])|\s*(?P<field>\w+):(?P<value>"[^"]*"|\[[^\]]*\]|[^\s()"\[\]]+)'
    r"|\s*(?P<word>AND|OR|ANDNOT)(?=[\s(])"
)
RANGE = re.compile(r"\[(\d{12}) TO (\d{12})\]")
MODERN = r"\d{4}\.\d{4,5}"
IDENTIFIER = re.compile(rf"(?:{MODERN}|[a-z-]+(?:\.[A-Z]{{2}})?/\d{{7}})(?:v[1-9]\d*)?")
KNOWN = {"search_query", "id_list", "start", "max_results", "sortBy", "sortOrder"}
SORTS = ("relevance", "lastUpdatedDate", "submittedDate")
ORDERS = ("ascending", "descending")
MOST_RESULTS = 30_000
MOST_IDS = 100
"""The manual names no number: this is what we promise to keep to."""
DATES = {"submittedDate": "published", "lastUpdatedDate": "updated"}
TEXTS: dict[str, Callable[[Row], str]] = {
    "ti": lambda row: row["title"],
    "au": lambda row: " ".join(row["authors"]),
    "abs": lambda row: row["abstract"],
    "co": lambda row: row.get("comment") or "",
    "jr": lambda _row: "",
    "rn": lambda _row: "",
    "id": lambda row: row["id"],
}


class RefusedError(Exception):
    """What arXiv answers with an error, in its words where they are documented."""


Bounds = tuple[str, str] | None


@dataclass(frozen=True)
class Query:
    """Whether a row matches; `bounds` are minutes outside which no row does."""

    matches: Callable[[Row], bool]
    bounds: Bounds = None


class Token(NamedTuple):
    kind: str
    text: str
    value: str = ""


class Parameters(NamedTuple):
    query: Query | None
    ids: tuple[str, ...]
    start: int
    size: int
    sort_by: str
    ascending: bool

    def matches(self, row: Row) -> bool:
        """Articles of the list that match the query; all of either where only one is given."""
        named = not self.ids or row["id"] in self.ids or bare(row["id"]) in self.ids
        return named and (self.query is None or self.query.matches(row))

    @property
    def asks(self) -> bool:
        return bool(self.ids) or self.query is not None

    def order(self, row: Row) -> tuple[Any, str]:
        return row["updated" if self.sort_by == "lastUpdatedDate" else "published"], row["id"]


def bare(paper_id: str) -> str:
    """The id without its version."""
    return re.sub(r"v\d+$", "", paper_id)


def parameters(given: Mapping[str, str]) -> Parameters:
    """Raises RefusedError."""
    if unknown := given.keys() - KNOWN:
        message = f"unknown parameter {min(unknown)}"
        raise RefusedError(message)
    ids = tuple(given.get("id_list", "").split(",")) if given.get("id_list") else ()
    if len(ids) > MOST_IDS:
        message = f"more than {MOST_IDS} ids in one request"
        raise RefusedError(message)
    if len(set(ids)) < len(ids):
        message = "an id stands twice in id_list"
        raise RefusedError(message)
    for one in ids:
        if not IDENTIFIER.fullmatch(one):
            message = f"incorrect id format for {one}"
            raise RefusedError(message)
    size = _whole_number(given, "max_results", 10)
    if size > MOST_RESULTS:
        message = f"max_results must be <= {MOST_RESULTS}"
        raise RefusedError(message)
    text = given.get("search_query", "")
    return Parameters(
        query=parse(text) if text else None,
        ids=ids,
        start=_whole_number(given, "start", 0),
        size=size,
        sort_by=_one_of(given, "sortBy", SORTS, "relevance"),
        ascending=_one_of(given, "sortOrder", ORDERS, "descending") == "ascending",
    )


def parse(text: str) -> Query:
    """Raises RefusedError for what is no query."""
    tokens = _tokens(text)
    query, rest = _expression(tokens)
    if rest:
        message = f"unexpected {rest[0].text} in {text}"
        raise RefusedError(message)
    return query


def _tokens(text: str) -> list[Token]:
    found, at = [], 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if match is None:
            message = f"cannot read {text[at:].strip()}"
            raise RefusedError(message)
        kind = "field" if match["field"] else "mark" if match["mark"] else "word"
        found.append(Token(kind, match["field"] or match["mark"] or match["word"], match["value"]))
        at = match.end()
    return found


def _expression(tokens: list[Token]) -> tuple[Query, list[Token]]:
    """Operands with one kind of operator between them."""
    query, tokens = _operand(tokens)
    first = ""
    while tokens and tokens[0].kind == "word":
        word = tokens[0].text
        if first and (word == "OR") != (first == "OR"):
            message = f"{first} and {word} need parentheses"
            raise RefusedError(message)
        first = word
        other, tokens = _operand(tokens[1:])
        query = JOINED[word](query, other)
    return query, tokens


def _operand(tokens: list[Token]) -> tuple[Query, list[Token]]:
    if not tokens or tokens[0].kind == "word" or tokens[0].text == ")":
        message = "a search term is missing"
        raise RefusedError(message)
    if tokens[0].text != "(":
        return _field(tokens[0]), tokens[1:]
    query, tokens = _expression(tokens[1:])
    if not tokens or tokens[0].text != ")":
        message = "a parenthesis is not closed"
        raise RefusedError(message)
    return query, tokens[1:]


def _field(token: Token) -> Query:
    name, value = token.text, token.value.strip('"')
    if name in DATES:
        return _dated(name, value)
    if name == "cat":
        return Query(lambda row: any(_is_category(value, one) for one in row["categories"]))
    wanted = value.replace("_", " ").lower()
    if name == "all":
        return Query(lambda row: any(wanted in get(row).lower() for get in TEXTS.values()))
    if name not in TEXTS:
        message = f"unknown field {name}"
        raise RefusedError(message)
    return Query(lambda row: wanted in TEXTS[name](row).lower())


def _dated(name: str, value: str) -> Query:
    """Both bounds are minutes in GMT, and are included."""
    limits = RANGE.fullmatch(value)
    if limits is None:
        message = f"incorrect date range for {name}: {value}"
        raise RefusedError(message)
    first, last = limits.groups()

    def matches(row: Row) -> bool:
        return first <= re.sub(r"\D", "", row[DATES[name]])[:12] <= last

    return Query(matches, (first, last) if name == "submittedDate" else None)


def _is_category(wanted: str, category: str) -> bool:
    if wanted.endswith("*"):
        return category.startswith(wanted[:-1])
    return category == wanted


def _and(one: Query, other: Query) -> Query:
    limits = [query.bounds for query in (one, other) if query.bounds]
    bounds = (max(a for a, _ in limits), min(b for _, b in limits)) if limits else None
    return Query(lambda row: one.matches(row) and other.matches(row), bounds)


def _or(one: Query, other: Query) -> Query:
    bounds = None
    if one.bounds and other.bounds:
        bounds = min(one.bounds[0], other.bounds[0]), max(one.bounds[1], other.bounds[1])
    return Query(lambda row: one.matches(row) or other.matches(row), bounds)


def _and_not(one: Query, other: Query) -> Query:
    return Query(lambda row: one.matches(row) and not other.matches(row), one.bounds)


JOINED = {"AND": _and, "OR": _or, "ANDNOT": _and_not}


def _whole_number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not re.fullmatch(r"-?\d+", text):
        message = f"{name} must be an integer"
        raise RefusedError(message)
    if int(text) < 0:
        message = f"{name} must be >= 0"
        raise RefusedError(message)
    return int(text)


def _one_of(given: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = given.get(name, default)
    if value not in allowed:
        message = f"{name} must be in: {', '.join(allowed)}"
        raise RefusedError(message)
    return value
