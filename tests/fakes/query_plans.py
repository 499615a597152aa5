"""The statements that were sent, and those plans that read a whole large table or index."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from newsletter.store import Store

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
"""Tables that grow by hundreds or thousands of rows a day."""
NAMED = re.compile(r'\b(?:FROM|JOIN|UPDATE|,)\s+"?(\w+)"?(?:\s+AS\s+(\w+))?', re.IGNORECASE)


class Statement(NamedTuple):
    text: str
    parameters: Any


class StatementLog:
    """The statements that a block of code sends to a store's database."""

    def __init__(self, store: Store) -> None:
        self.sent: list[Statement] = []
        self._engine = store.engine

    def __enter__(self) -> Self:
        event.listen(self._engine, "before_cursor_execute", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._note)

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
    for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
        step, _, rest = row.detail.partition(" ")
        if step == "SCAN" and named.get(rest.split(" ")[0]) in LARGE:
            yield row.detail


def _in_postgres(tx: Connection, statement: str, parameters: Any) -> Iterator[str]:
    [plan] = tx.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    todo = [plan["Plan"]]
    while todo:
        step = todo.pop()
        todo += step.get("Plans", [])
        searched = step.keys() & {"Index Cond", "Recheck Cond"}
        if step.get("Relation Name") in LARGE and not searched:
            index = f" by {step['Index Name']}" if "Index Name" in step else ""
            yield f"{step['Node Type']} on {step['Relation Name']}{index}"


def plan_of(tx: Connection, statement: str, parameters: Any) -> str:
    """The plan as text, to show with a failure."""
    word = "EXPLAIN QUERY PLAN" if tx.dialect.name == "sqlite" else "EXPLAIN"
    rows = tx.exec_driver_sql(f"{word} {statement}", parameters)
    return json.dumps([str(row[-1]) for row in rows], indent=1)
