"""Fingerprints of the planner's settings, and the processes whose settings differ from them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from newsletter.store.tables import life, shared_settings
from newsletter.store.upsert import insert

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

ONLY_ROW = 1
SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class StoredSettings:
    """`revision` grows each time that a planner stores other settings. `owner` is that planner."""

    revision: int
    salt: bytes
    owner: str


def stored(tx: Connection) -> StoredSettings | None:
    columns = shared_settings.c.revision, shared_settings.c.salt, shared_settings.c.owner
    row = tx.execute(select(*columns)).one_or_none()
    return StoredSettings(row.revision, bytes.fromhex(row.salt), row.owner) if row else None


def fingerprints(tx: Connection) -> dict[str, str]:
    """The planner's fingerprints by the name of the setting."""
    return dict(tx.scalar(select(shared_settings.c.fingerprints)) or {})


def new_salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)


def store(
    tx: Connection, salt: bytes, fingerprints: Mapping[str, str], owner: str, now: datetime
) -> None:
    """Replace the stored fingerprints."""
    row = {"salt": salt.hex(), "fingerprints": dict(fingerprints), "owner": owner, "at": now}
    made = insert(tx, shared_settings).values(id=ONLY_ROW, revision=1, **row)
    tx.execute(
        made.on_conflict_do_update(
            index_elements=["id"], set_=row | {"revision": shared_settings.c.revision + 1}
        )
    )


def record_differences(tx: Connection, owner: str, role: str, differs: str, now: datetime) -> None:
    """Store a heartbeat of a process, and the names of its settings that differ."""
    row = {"role": role, "seen": now, "differs": differs}
    made = insert(tx, life).values(owner=owner, **row)
    tx.execute(made.on_conflict_do_update(index_elements=["owner"], set_=row))


def clear_differences(tx: Connection, owner: str) -> None:
    tx.execute(update(life).where(life.c.owner == owner).values(differs=""))
