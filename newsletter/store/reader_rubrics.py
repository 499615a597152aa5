"""Reader rubrics: rubrics that readers write on the web, with their versions.

A version:   draft --submit--> waiting --confirm--> active --the next one is confirmed--> old

A link that was mailed to the reader's own address confirms. The functions do not check whose
rubric it is: compare `ReaderRubric.subscriber_id`.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, insert, select, update

from newsletter.domain.mail import SubscriberState
from newsletter.domain.paging import paged
from newsletter.domain.reader_rubrics import (
    Confirmation,
    PausedBy,
    ReaderRubric,
    ReaderRubricState,
    ReaderRubricVersion,
    VersionState,
    current_text,
    is_reader_rubric,
    mark_of,
    new_slug,
    trial_account,
)
from newsletter.rubrics.file import RubricError, parse
from newsletter.store import digests, ledger, suppressions, upsert
from newsletter.store.tables import (
    Moment,
    reader_rubric,
    reader_rubric_change,
    reader_rubric_version,
    subscriber,
    subscription,
    trouble,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from newsletter.store import Store

    Version = tuple[str, int]

OLD_KEPT = 20
"""Old versions of a rubric that are kept: the newest."""
DRAFTS_KEPT = timedelta(days=90)
"""How long a rubric that was never saved is kept after it was last written to."""
CONSENT = "wrote this rubric and confirmed it by a link sent to this address"
WAY = "their own rubric"
DELETED = "deleted their rubric"
ERASED = "erased"
"""Why the subscriptions of an erased reader ended (subscribers.py)."""
_ONLY_ROW = 1
_PAUSED_AT = {
    PausedBy.READER: reader_rubric.c.reader_paused_at,
    PausedBy.OPERATOR: reader_rubric.c.operator_paused_at,
}


class TooManyRubrics(Exception):
    """The reader has as many rubrics as NEWSLETTER_READER_RUBRICS allows."""


class TextChanged(Exception):
    """A form was opened with another text than the current one, `text`."""

    def __init__(self, slug: str, text: str) -> None:
        super().__init__(slug)
        self.slug = slug
        self.text = text


class ReaderErased(Exception):
    """The reader was erased, perhaps while their draft was made: nothing of theirs is stored."""


# Reading


def by_slug(tx: Connection, slug: str) -> ReaderRubric | None:
    row = tx.execute(select(reader_rubric).where(reader_rubric.c.slug == slug)).one_or_none()
    return of_row(row) if row else None


def is_deleted(tx: Connection, slug: str) -> bool:
    """Whether this is the slug of a reader rubric that is gone."""
    return is_reader_rubric(slug) and by_slug(tx, slug) is None


def deleted_at(tx: Connection, slug: str) -> datetime | None:
    """When a rubric that was in use was deleted, or its reader erased. None if it was not."""
    if not is_deleted(tx, slug):
        return None
    ended = (subscription.c.rubric == slug, subscription.c.state_reason.in_((DELETED, ERASED)))
    found: datetime | None = tx.scalar(
        select(func.max(subscription.c.state_at, type_=Moment)).where(*ended)
    )
    return found


def of_reader(tx: Connection, subscriber_id: str) -> list[ReaderRubric]:
    """The rubrics of a reader, drafts too; oldest first."""
    query = select(reader_rubric).where(reader_rubric.c.subscriber_id == subscriber_id)
    rows = tx.execute(query.order_by(reader_rubric.c.created_at, reader_rubric.c.slug))
    return [of_row(row) for row in rows]


def versions(tx: Connection, slug: str) -> list[ReaderRubricVersion]:
    """The versions of a rubric, newest first."""
    query = select(reader_rubric_version).where(reader_rubric_version.c.slug == slug)
    rows = tx.execute(query.order_by(reader_rubric_version.c.version.desc()))
    return [
        ReaderRubricVersion(row.slug, row.version, row.text, VersionState(row.state), row.saved_at)
        for row in rows
    ]


def locked_versions(tx: Connection, slug: str) -> list[ReaderRubricVersion]:
    """The versions, newest first; none for a deleted rubric. Nobody changes them meanwhile."""
    return versions(tx, slug) if _locked(tx, slug) else []


def fingerprints(tx: Connection, slug: str) -> set[str]:
    """The fingerprints of the saved texts of a rubric, as far as they can be read."""
    saved = (VersionState.ACTIVE, VersionState.OLD)
    found = set()
    for one in versions(tx, slug):
        if one.state in saved:
            with suppress(RubricError):
                found.add(parse(one.text, slug, slug).fingerprint)
    return found


def change_number(tx: Connection) -> int:
    """Grows with each change of the active rubrics and their texts."""
    return tx.scalar(select(reader_rubric_change.c.number)) or 0


def load_active(tx: Connection, known: Collection[Version] = ()) -> dict[Version, str]:
    """The texts of the rubrics that make digests, by slug and version.

    The text is empty for those that are `known`: the text of an active version never changes.
    """
    active = (
        reader_rubric.c.active_version.is_not(None),
        reader_rubric.c.reader_paused_at.is_(None),
        reader_rubric.c.operator_paused_at.is_(None),
    )
    named = select(reader_rubric.c.slug, reader_rubric.c.active_version).where(*active)
    keys = [(row.slug, row.active_version) for row in tx.execute(named)]
    found = {key: "" for key in keys if key in known}
    unknown = [slug for slug, version in keys if (slug, version) not in known]
    texts = reader_rubric_version.c
    joined = (texts.slug == reader_rubric.c.slug) & (
        texts.version == reader_rubric.c.active_version
    )
    query = select(texts.slug, texts.version, texts.text).join(reader_rubric, joined)
    for page in paged(unknown):
        rows = tx.execute(query.where(texts.slug.in_(page)))
        found |= {(row.slug, row.version): row.text for row in rows}
    return found


def changed_texts(
    store: Store, seen: int | None, known: Collection[Version]
) -> tuple[int, dict[Version, str]] | None:
    """The number of the newest change, and `load_active`; None if `seen` is that change."""
    with store.read() as tx:
        number = change_number(tx)
        return None if number == seen else (number, load_active(tx, known))


# Writing and saving


def create(
    tx: Connection,
    subscriber_id: str,
    text: str,
    now: datetime,
    *,
    limit: int,
    liked: Collection[str] = (),
    seen: str | None = None,
) -> str:
    """A new draft; return its slug. Raises TooManyRubrics for a reader with `limit` rubrics,
    ReaderErased, and TextChanged (see `save_draft`).

    A reader has one rubric that was never saved: the text of an earlier one becomes an old version
    of it. `liked` are the ids of the papers that it was drafted from.
    """
    if not _lock_reader(tx, subscriber_id):
        raise ReaderErased
    mine = of_reader(tx, subscriber_id)
    unsaved = next((one.slug for one in mine if one.active_version is None), None)
    if unsaved is not None:
        save_draft(tx, unsaved, text, now, seen=seen, keep=True)
        row = update(reader_rubric).where(reader_rubric.c.slug == unsaved)
        tx.execute(row.values(liked=sorted(liked)))
        return unsaved
    if len(mine) >= limit:
        raise TooManyRubrics
    slug = new_slug(secrets.token_bytes(16))
    values = {"slug": slug, "subscriber_id": subscriber_id, "created_at": now}
    tx.execute(insert(reader_rubric).values(**values, liked=sorted(liked)))
    _add_draft(tx, slug, text, now)
    return slug


def save_draft(
    tx: Connection,
    slug: str,
    text: str,
    now: datetime,
    *,
    seen: str | None = None,
    keep: bool = False,
) -> bool:
    """Store the text of a draft; what is active or waiting stays. False for a deleted rubric.

    `seen` is the mark of the text that the form was opened with; None checks nothing. Raises
    TextChanged if the current text is neither that one nor `text`. To `keep` a draft that is
    replaced makes it an old version.
    """
    if _locked(tx, slug) is None:
        return False
    current = current_text(versions(tx, slug))
    if current == text:
        return True
    if seen is not None and mark_of(current) != seen:
        raise TextChanged(slug, current)
    draft = _version(slug, VersionState.DRAFT)
    if keep:
        tx.execute(update(reader_rubric_version).where(*draft).values(state=VersionState.OLD))
        _delete_oldest(tx, slug)
    values = {"text": text, "saved_at": now}
    if not tx.execute(update(reader_rubric_version).where(*draft).values(values)).rowcount:
        _add_draft(tx, slug, text, now)
    return True


def submit(tx: Connection, slug: str, now: datetime) -> int | None:
    """The draft waits for its confirmation; return its version. Repeated, the same version.

    An earlier version that waits can't be confirmed any more. None where nothing is to be saved.
    """
    if _locked(tx, slug) is None:
        return None
    waits = _version(slug, VersionState.WAITING)
    number = reader_rubric_version.c.version
    draft = tx.scalar(select(number).where(*_version(slug, VersionState.DRAFT)))
    if draft is None:
        return tx.scalar(select(number).where(*waits))
    tx.execute(update(reader_rubric_version).where(*waits).values(state=VersionState.OLD))
    _set_state(tx, slug, draft, VersionState.WAITING, now)
    return int(draft)


def withdraw(tx: Connection, slug: str, version: int) -> None:
    """The text whose link could not be mailed is a draft again, unless a newer one was begun."""
    if _locked(tx, slug) is None:
        return
    newest = versions(tx, slug)[:1]
    if [(one.version, one.state) for one in newest] == [(version, VersionState.WAITING)]:
        mine = (reader_rubric_version.c.slug == slug, reader_rubric_version.c.version == version)
        tx.execute(update(reader_rubric_version).where(*mine).values(state=VersionState.DRAFT))


def confirm(tx: Connection, slug: str, version: int, now: datetime) -> Confirmation:
    """A waiting version becomes active; the first one subscribes its reader to the rubric."""
    # subscriptions.py imports subscribers.py, which erases by this module.
    from newsletter.store import subscriptions

    known = _locked(tx, slug)
    if known is None or not _may_be_mailed(tx, known.subscriber_id):
        return Confirmation.GONE
    if known.active_version == version:
        return Confirmation.REPEATED
    waits = select(reader_rubric_version.c.version).where(*_version(slug, VersionState.WAITING))
    if tx.scalar(waits) != version:
        return Confirmation.REPLACED
    before = _version(slug, VersionState.ACTIVE)
    tx.execute(update(reader_rubric_version).where(*before).values(state=VersionState.OLD))
    _set_state(tx, slug, version, VersionState.ACTIVE, now)
    mine = reader_rubric.c.slug == slug
    tx.execute(update(reader_rubric).where(mine).values(active_version=version))
    _delete_oldest(tx, slug)
    first = known.active_version is None
    if first:
        consent = f"{CONSENT}, {now.date()}"
        subscriptions.add(tx, known.subscriber_id, slug, now, consent=consent, way=WAY)
    _count_change(tx)
    return Confirmation.FIRST if first else Confirmation.CHANGED


# Pausing and deleting


def pause(tx: Connection, slug: str, by: PausedBy, now: datetime, reason: str = "") -> bool:
    """Make no digests until everyone who paused it resumed it. False for a draft or a deleted one.

    `reason` is shown to the reader; a reader gives none.
    """
    known = _locked(tx, slug)
    if known is None or known.active_version is None:
        return False
    values: dict[str, Any] = {_PAUSED_AT[by].name: now}
    if by is PausedBy.OPERATOR:
        values["reason"] = reason
    tx.execute(update(reader_rubric).where(reader_rubric.c.slug == slug).values(values))
    tx.execute(delete_rows(trouble).where(trouble.c.rubric == slug))
    _count_change(tx)
    return True


def resume(tx: Connection, slug: str, by: PausedBy, now: datetime) -> bool:
    """End one's own pause. False where it was not paused by them."""
    del now  # One signature for both; the end of a pause is not stored.
    paused = (reader_rubric.c.slug == slug, _PAUSED_AT[by].is_not(None))
    values: dict[str, Any] = {_PAUSED_AT[by].name: None}
    if by is PausedBy.OPERATOR:
        values["reason"] = ""
    if not tx.execute(update(reader_rubric).where(*paused).values(values)).rowcount:
        return False
    _count_change(tx)
    return True


def delete(tx: Connection, slug: str, now: datetime) -> bool:
    """Delete a rubric and its texts, and end its subscription. False where it is gone."""
    from newsletter.store import subscriptions

    known = _locked(tx, slug)
    if known is None:
        return False
    mine = subscription.c.subscriber_id == known.subscriber_id
    query = select(subscription.c.id).where(mine, subscription.c.rubric == slug)
    if (subscription_id := tx.scalar(query)) is not None:
        subscriptions.leave(tx, subscription_id, DELETED, now)
        # Also of one that was left before: `deleted_at` reads it.
        ended = {"state_reason": DELETED, "state_at": now}
        tx.execute(update(subscription).where(mine, subscription.c.rubric == slug).values(ended))
    _forget(tx, slug)
    _count_change(tx)
    return True


def erase(tx: Connection, subscriber_id: str) -> None:
    """Delete the rubrics of a reader who is erased, with all their texts and their drafts."""
    ledger.forget_answers(tx, trial_account(subscriber_id))
    mine = of_reader(tx, subscriber_id)
    for one in mine:
        _forget(tx, one.slug)
    if mine:
        _count_change(tx)


def delete_old_drafts(tx: Connection, before: datetime) -> int:
    """Delete rubrics that were never saved, and not written to since; return how many.

    What a model wrote for drafts and previews before then is deleted too.
    """
    ledger.forget_old_answers(tx, trial_account(""), before)
    last = (
        select(func.max(reader_rubric_version.c.saved_at))
        .where(reader_rubric_version.c.slug == reader_rubric.c.slug)
        .scalar_subquery()
    )
    unsaved = select(reader_rubric.c.slug).where(reader_rubric.c.active_version.is_(None))
    old = list(tx.scalars(unsaved.where(last < before)))
    for slug in old:
        _forget(tx, slug)
    return len(old)


def is_active(tx: Connection, slug: str) -> bool:
    """Whether a rubric makes digests. Nobody pauses or deletes it before this transaction ends."""
    known = _locked(tx, slug)
    return known is not None and known.state is ReaderRubricState.ACTIVE


def _forget(tx: Connection, slug: str) -> None:
    """Delete a rubric, all its texts, and what its digests and calls say."""
    # First of all: a digest that is stored at the same time is stored before, or not at all.
    _locked(tx, slug)
    tx.execute(delete_rows(reader_rubric_version).where(reader_rubric_version.c.slug == slug))
    tx.execute(delete_rows(reader_rubric).where(reader_rubric.c.slug == slug))
    digests.forget(tx, slug)
    ledger.forget_answers(tx, slug)
    tx.execute(delete_rows(trouble).where(trouble.c.rubric == slug))


def _delete_oldest(tx: Connection, slug: str) -> None:
    number = reader_rubric_version.c.version
    old = select(number).where(*_version(slug, VersionState.OLD)).order_by(number.desc())
    if gone := tx.scalars(old.offset(OLD_KEPT)).all():
        mine = reader_rubric_version.c.slug == slug
        tx.execute(delete_rows(reader_rubric_version).where(mine, number.in_(gone)))


def _add_draft(tx: Connection, slug: str, text: str, now: datetime) -> None:
    number = func.coalesce(func.max(reader_rubric_version.c.version), 0)
    last = tx.scalar(select(number).where(reader_rubric_version.c.slug == slug)) or 0
    values = {"version": last + 1, "text": text, "state": VersionState.DRAFT, "saved_at": now}
    tx.execute(insert(reader_rubric_version).values(slug=slug, **values))


def _set_state(tx: Connection, slug: str, version: int, state: VersionState, now: datetime) -> None:
    mine = (reader_rubric_version.c.slug == slug, reader_rubric_version.c.version == version)
    tx.execute(update(reader_rubric_version).where(*mine).values(state=state, saved_at=now))


def _version(slug: str, state: VersionState) -> tuple[ColumnElement[bool], ...]:
    return reader_rubric_version.c.slug == slug, reader_rubric_version.c.state == state


def _locked(tx: Connection, slug: str) -> ReaderRubric | None:
    """Other processes wait until this transaction ends; SQLite has one writer anyway."""
    query = select(reader_rubric).where(reader_rubric.c.slug == slug).with_for_update()
    row = tx.execute(query).one_or_none()
    return of_row(row) if row else None


def _lock_reader(tx: Connection, subscriber_id: str) -> bool:
    """Whether the reader is there, and not erased."""
    mine = select(subscriber.c.email).where(subscriber.c.id == subscriber_id)
    return bool(tx.scalar(mine.with_for_update()))


def _may_be_mailed(tx: Connection, subscriber_id: str) -> bool:
    columns = subscriber.c.email, subscriber.c.state
    row = tx.execute(select(*columns).where(subscriber.c.id == subscriber_id)).one_or_none()
    if row is None or not row.email:
        return False
    reads = row.state in (SubscriberState.ACTIVE, SubscriberState.PAUSED)
    return reads and suppressions.reason_for(tx, row.email) is None


def _count_change(tx: Connection) -> None:
    """Last in its transaction: all processes change this row."""
    new = upsert.insert(tx, reader_rubric_change).values(id=_ONLY_ROW, number=1)
    number = {"number": reader_rubric_change.c.number + 1}
    tx.execute(new.on_conflict_do_update(index_elements=["id"], set_=number))


def of_row(row: Row[Any]) -> ReaderRubric:
    paused = tuple(by for by, column in _PAUSED_AT.items() if _fields(row)[column.name])
    return ReaderRubric(
        slug=row.slug,
        subscriber_id=row.subscriber_id,
        active_version=row.active_version,
        created_at=row.created_at,
        paused_by=paused,
        reason=row.reason,
        liked=tuple(row.liked),
    )


def _fields(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name for a row as mapping
