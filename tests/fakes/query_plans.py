"""The statements that were sent, and those plans that read a whole large table or index."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sqlalchemy import Engine, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

LARGE = frozenset(
    {
        "archive_text",
        "call",
        "delivery",
        "digest",
        "digest_paper",
        "event",
        "listing",
        "paper",
        "score",
    }
)
"""Tables that grow by hundreds or thousands of rows a day, and digests: SQLite reads their bodies
with each row. PostgreSQL keeps long bodies apart from the rows, so that there it may scan them.
"""
OF_FEW = {"ix_call_intent", "ix_digest_paper_picked"}
"""Indexes that hold few of a table's rows: calls under way, and picks."""
NAMED = re.compile(r'\b(?:FROM|JOIN|UPDATE|,)\s+"?(\w+)"?(?:\s+AS\s+(\w+))?', re.IGNORECASE)

READ_ALL = {"Aggregate", "Hash", "Sort", "WindowAgg"}
"""Steps of PostgreSQL that read all that is below them before they answer."""


class Statement(NamedTuple):
    text: str
    parameters: Any


class StatementLog:
    """The statements that a block of code sends to any database."""

    def __init__(self) -> None:
        self.sent: list[Statement] = []

    def __enter__(self) -> Self:
        event.listen(Engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._note)

    def _note(self, *said: Any) -> None:
        _, _, statement, parameters, _, many = said
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
            self.sent.append(Statement(statement, parameters[0] if many else parameters))


def full_scans(tx: Connection, statement: str, parameters: Any) -> list[str]:
    """The steps of the statement's plan that read all of a large table or of its index."""
    found = _in_sqlite if tx.dialect.name == "sqlite" else _in_postgres
    return list(found(tx, statement, parameters))


def _in_sqlite(tx: Connection, statement: str, parameters: Any) -> Iterator[str]:
    named = {alias or name: name for name, alias in NAMED.findall(statement)}
    plan = [row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    if "LIMIT" in statement and not any("TEMP B-TREE FOR ORDER BY" in line for line in plan):
        return  # Read in the order of an index until there is enough.
    for line in plan:
        step, _, rest = line.partition(" ")
        words = rest.split(" ")
        if step == "SCAN" and named.get(words[0]) in LARGE and words[-1] not in OF_FEW:
            yield line


def _in_postgres(tx: Connection, statement: str, parameters: Any) -> Iterator[str]:
    [plan] = tx.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    yield from _whole_steps(plan["Plan"], limited=False)


def _whole_steps(step: dict[str, Any], *, limited: bool) -> Iterator[str]:
    """`limited`: read in the order of an index until there is enough."""
    kind, table, by = step["Node Type"], step.get("Relation Name"), step.get("Index Name")
    limited = kind == "Limit" or (limited and kind not in READ_ALL)
    searched = by in OF_FEW or step.keys() & {"Index Cond", "Recheck Cond"}
    if table in LARGE - {"digest"} and not limited and not searched and kind != "ModifyTable":
        yield f"{kind} on {table} by {by or 'no index'}"
    for below in step.get("Plans", []):
        yield from _whole_steps(below, limited=limited)


def plan_of(tx: Connection, statement: str, parameters: Any) -> str:
    """The plan as text, to show with a failure."""
    word = "EXPLAIN QUERY PLAN" if tx.dialect.name == "sqlite" else "EXPLAIN"
    rows = tx.exec_driver_sql(f"{word} {statement}", parameters)
    return json.dumps([str(row[-1]) for row in rows], indent=1)
