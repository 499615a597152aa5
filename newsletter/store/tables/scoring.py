"""Calls to the model, and scores."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from newsletter.store.tables.types import Moment, metadata, partial_index

# One request that may cost money: committed as `intent` before it is sent, with its raw answer
# before that is parsed. `store/ledger.py` draws the states.
call = Table(
    "call",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("rubric", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("scorer", String(128), nullable=False),
    Column("date", Date, nullable=False),
    Column("reading", Integer, nullable=False),
    Column("model", String(64), nullable=False),
    Column("request_hash", String(64), nullable=False),
    Column("papers", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("upper_nanos", BigInteger, nullable=False),
    Column("usage", JSON),
    Column("cost_nanos", BigInteger, nullable=False, default=0),
    Column("raw", LargeBinary),
    Column("reason", Text, nullable=False, default=""),
    Column("owner", String(128), nullable=False),
    Column("lease_until", Moment, nullable=False),
    Column("batch_id", String(128)),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Index(None, "rubric", "date"),
    Index(None, "fingerprint", "scorer", "state"),
    Index(None, "started_at"),
    partial_index("ix_call_intent", "owner", where="state = 'intent'"),
)

# What the calls of a month (UTC) cost, unconfirmed ones with their upper bound: a sum over `call`,
# changed in the same transactions.
month_cost = Table(
    "month_cost",
    metadata,
    Column("month", Date, primary_key=True),
    Column("nanos", BigInteger, nullable=False),
)

# The score of a paper in one pass, shared by all rubrics with the same fingerprint.
score = Table(
    "score",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("scorer", String(128), primary_key=True),
    Column("paper_id", String(32), ForeignKey("paper.id"), primary_key=True),
    Column("reading", Integer, primary_key=True),
    Column("outcome", String(32), nullable=False),
    Column("model", String(64), nullable=False),
    Column("relevance", Integer),
    Column("novelty", Integer),
    Column("fine", Integer, nullable=False, default=0),
    Column("criterion", Integer, nullable=False, default=0),
    Column("comment", Text, nullable=False, default=""),
    Column("similarity", Float),
    Column("call_id", String(32)),
)
