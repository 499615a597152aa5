"""Build the App from the settings. Adapters, engine and store are chosen here and nowhere else."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pydantic import SecretStr

from newsletter.context import App, Engine
from newsletter.delivery import identity
from newsletter.delivery.identity import links, site_info
from newsletter.errors import OperatorError
from newsletter.jobs.engine import LocalEngine
from newsletter.mailers import (
    BATCH_MAILERS,
    MAILERS,
    SUPPRESSION_LISTS,
    Mailer,
    OperatorOnlyMailer,
    SuppressionLists,
)
from newsletter.render import Renderer
from newsletter.rubrics.catalog import LoadTexts, RubricCatalog
from newsletter.rubrics.folder import RubricFolder, RubricSource
from newsletter.scorers import DRAFTERS, SCORERS, Drafter, Scorer
from newsletter.settings import (
    Settings,
    SettingsError,
    dbos_faults,
    require_mail_settings,
    setting_warnings,
)
from newsletter.sources import SOURCES, PaperSource, SharesRequestQueue
from newsletter.store import Store, reader_rubrics
from newsletter.store.rate_limits import SharedRequestQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from newsletter.mailers.imap import ImapMailbox

log = logging.getLogger(__name__)


class NoDatabaseError(OperatorError):
    """The SQLite file does not exist, and this command does not create it."""


def open_store(settings: Settings, *, create: bool = False) -> Store:
    """Open the database and check its schema. Raises StoreError.

    Without `create` raises NoDatabaseError where the SQLite file does not exist yet.
    """
    store = Store(settings.database_url.get_secret_value())
    if not create:
        require_database(store)
    store.require_schema()
    return store


def build_calendar(settings: Settings) -> PaperSource:
    """The paper source for dates only: papers are fetched through `build_source`, at its pace."""
    source: PaperSource = resolve_name(SOURCES[settings.source])(settings)
    return source


def open_live_store(settings: Settings, *, create: bool) -> Store:
    """Open a database that may send mail. Raises StoreError for a copy or a moved one."""
    store = open_store(settings, create=create)
    store.require_home()
    return store


@contextmanager
def temporary_database(settings: Settings) -> Iterator[Settings]:
    """The settings with a temporary database in place of an SQLite file that does not exist.

    For commands that show what would happen: they work before the first run and create no file.
    """
    store = Store(settings.database_url.get_secret_value())
    missing = store.is_sqlite and store.is_new()
    store.close()
    if not missing:
        yield settings
        return
    with TemporaryDirectory() as folder:
        url = SecretStr(f"sqlite:///{folder}/newsletter.db")
        # A generated key for links lies beside the outbox.
        outbox = Path(folder) / "outbox"
        yield settings.model_copy(update={"database_url": url, "outbox_dir": outbox})


def build_mailer(settings: Settings) -> Mailer:
    """The mailer. Raises SettingsError if settings that it needs are missing."""
    require_mail_settings(settings)
    for one in setting_warnings(settings):
        log.warning("%s", one)
    mailer: Mailer = resolve_name(MAILERS[settings.mailer_name])(settings)
    if settings.operator_only and settings.mailer_name != "outbox":
        return OperatorOnlyMailer(mailer, settings.operator_email)
    return mailer


def build_mailbox(settings: Settings) -> ImapMailbox | None:
    """The mailbox that replies are read from. Commands that need none do not load its libraries."""
    if not settings.imap_url.get_secret_value():
        return None
    from newsletter.mailers.imap import ImapMailbox

    return ImapMailbox(settings)


def build_engine(settings: Settings, store: Store) -> Engine:
    if settings.engine != "dbos":
        return LocalEngine()
    from newsletter.jobs.dbos_engine import DbosEngine

    return DbosEngine(store, now)


def build_app(settings: Settings, *, create: bool = True) -> App:
    """Build the application context. Raises SettingsError, RubricError or StoreError.

    Without `create` raises NoDatabaseError if the SQLite file does not exist yet.
    """
    mailer = build_mailer(settings)
    # Checked before a database file is created.
    if faults := list(dbos_faults(settings)):
        raise SettingsError(*faults)
    batch_mailer = None if settings.operator_only else BATCH_MAILERS.get(settings.mailer_name)
    folder = rubrics(settings)
    store = open_live_store(settings, create=create)
    return App(
        store=store,
        source=build_source(settings, store),
        scorer=build_scorer(settings),
        mailer=mailer,
        renderer=Renderer(site_info(settings)),
        links=links(settings),
        sender=identity.sender_of(settings),
        rubrics=catalog(settings, folder, store),
        settings=settings,
        clock=now,
        mailbox=build_mailbox(settings),
        suppression_lists=suppression_lists(settings),
        batch_mailer=resolve_name(batch_mailer)(settings) if batch_mailer else None,
        drafter=build_drafter(settings),
        engine=build_engine(settings, store),
    )


def require_database(store: Store) -> None:
    """Raise NoDatabaseError for an SQLite file that does not exist or is empty.

    A volume that is not mounted looks like a first run. A database created there would hide this:
    no reader would be mailed, and no alert raised.
    """
    if store.is_sqlite and store.is_new():
        store.close()
        message = (
            f"there is no database at {store.file}, and none was created: check that its volume "
            "is mounted. To create the first one: `newsletter init`, `newsletter migrate`, "
            "`newsletter subscribers import` or `add`, or `newsletter run --create`"
        )
        raise NoDatabaseError(message)


def rubrics(settings: Settings) -> RubricFolder:
    """The rubric folder. A file that can't be read affects its own readers only.

    Raises RubricError for a folder without any rubric file.
    """
    folder = RubricFolder(settings.rubrics_dir)
    folder.require_any()
    return folder


def catalog(settings: Settings, folder: RubricFolder, store: Store) -> RubricSource:
    """The files of the folder, and the rubrics of readers if these are turned on."""
    if not settings.reader_rubrics:
        return folder
    return RubricCatalog(folder, reader_texts(store))


def reader_texts(store: Store) -> LoadTexts:
    return partial(reader_rubrics.changed_texts, store)


def build_source(settings: Settings, store: Store) -> PaperSource:
    """The paper source, with the request rate limit that all machines share."""
    made: PaperSource = resolve_name(SOURCES[settings.source])(settings)
    if isinstance(made, SharesRequestQueue) and settings.arxiv_delay_seconds:
        made.use_queue(SharedRequestQueue(store, now, settings.arxiv_delay_seconds))
    return made


def build_scorer(settings: Settings) -> Scorer:
    scorer: Scorer = resolve_name(SCORERS[settings.scorer_name])(settings)
    return scorer


def build_drafter(settings: Settings) -> Drafter | None:
    """The drafter of the configured scorer; None where rubrics are drafted locally."""
    known = DRAFTERS.get(settings.scorer_name)
    made: Drafter | None = resolve_name(known)(settings) if known else None
    return made


def suppression_lists(settings: Settings) -> SuppressionLists | None:
    """The provider's suppression lists; None for a provider without any."""
    known = SUPPRESSION_LISTS.get(settings.mailer_name)
    made: SuppressionLists | None = resolve_name(known)(settings) if known else None
    return made


def now() -> datetime:
    return datetime.now(UTC)
