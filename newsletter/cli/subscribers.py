"""`subscribers ...`: import, export, list and change subscribers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from newsletter import bootstrap
from newsletter.cli.console import confirm, note, print_json, print_raw, say, screen, table
from newsletter.delivery import identity
from newsletter.delivery.confirmation import (
    SentConfirmations,
    confirmation_builder,
    send_confirmations,
)
from newsletter.domain.csv_header import COLUMNS, Columns
from newsletter.domain.formatting import plural
from newsletter.domain.preferences import parse_address
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.domain.subscriber_csv import (
    SubscriberFile,
    SubscriberRow,
    read_subscribers,
)
from newsletter.errors import OperatorError, file_error
from newsletter.operations import readers
from newsletter.render import Renderer
from newsletter.settings import Settings, SettingsError, read_settings
from newsletter.store import subscriber_import, subscribers, subscriptions
from newsletter.store.subscribers import SubscriberChange

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from newsletter.domain.mail import Email, Subscription
    from newsletter.store.subscriber_import import ImportResult


class ImportOptions(NamedTuple):
    """Options of an import."""

    consent: str
    dry_run: bool = False
    skip_bad: bool = False
    overwrite: bool = False
    address: str = ""
    """The only address, where there is no file: no counts are printed."""


def show_import(file: Path, options: ImportOptions, columns: Columns) -> int:
    settings = read_settings()
    csv_file = _read(file, settings, columns)
    errors = screen(errors=True)
    for fault in csv_file.faults:
        errors.print(f"{file} {fault}")
    if csv_file.faults and not options.skip_bad:
        message = (
            f"{plural(len(csv_file.faults), 'fault')} in {file}, nothing was imported; "
            "correct them, or use --skip-bad to import the other lines"
        )
        raise OperatorError(message)
    if csv_file.faults and not csv_file.rows:
        count = plural(len(csv_file.faults), "fault")
        message = f"{count} in {file} and no valid line, nothing was imported"
        raise OperatorError(message)
    if options.dry_run:
        with bootstrap.temporary_database(settings) as trial:
            _keep(trial, csv_file.rows, options, listed=True)
    else:
        _keep(settings, csv_file.rows, options, listed=False)
    return 0


def read_maps(maps: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`--map COLUMN="Their Name"`, as often as it is given. Raises SettingsError.

    Without a name, the file's own column of that name is ignored.
    """
    theirs: dict[str, tuple[str, ...]] = {}
    for one in maps:
        column, equals, name = (part.strip() for part in one.partition("="))
        if column not in COLUMNS or not equals:
            known = ", ".join(COLUMNS)
            message = f'--map {one!r}: write it like email="Email Address"; the columns are {known}'
            raise SettingsError(message)
        theirs[column] = (*theirs.get(column, ()), *([name] if name else []))
    return theirs


def _keep(
    settings: Settings, rows: Sequence[SubscriberRow], options: ImportOptions, *, listed: bool
) -> None:
    """Save the rows, then send confirmation mails to new subscribers without consent."""
    asks = not options.consent.strip() and not options.dry_run
    if asks:
        # Built before anything is stored: a fault here leaves no subscriber without their mail.
        mailer, build = bootstrap.build_mailer(settings), _confirmation_builder(settings)
        store = bootstrap.open_live_store(settings, create=True)
    else:
        store = bootstrap.open_store(settings, create=True)
    with store.begin() as tx:
        trial = tx.begin_nested()
        done = subscriber_import.save_all(
            tx, rows, options.consent, bootstrap.now(), overwrite=options.overwrite
        )
        if options.dry_run:
            trial.rollback()
        else:
            trial.commit()
    _say_changes(done, options, listed=listed)
    if asks:
        emails = dict.fromkeys(row.email for row in rows)
        _say_confirmations(send_confirmations(store, mailer, emails, build, bootstrap.now()))


def _confirmation_builder(settings: Settings) -> Callable[[Sequence[Subscription]], Email]:
    rubrics, renderer = bootstrap.rubrics(settings), Renderer(identity.site_info(settings))
    links, sender = identity.links(settings), identity.sender_of(settings)
    return confirmation_builder(rubrics, renderer, links, sender, bootstrap.now())


def _named(row: SubscriberRow) -> str:
    return f"line {row.line}: {row.email}" if row.line else row.email


def _say_confirmations(done: SentConfirmations) -> None:
    if done.sent:
        say(f"{done.sent} asked by mail to confirm")
    if done.problem:
        message = (
            f"not everyone was asked to confirm: {done.problem}; all are stored, "
            "repeat the command later to ask the others; nobody is asked twice"
        )
        raise OperatorError(message)


def _read(file: Path, settings: Settings, columns: Columns) -> SubscriberFile:
    try:
        data = file.read_bytes()
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise OperatorError(message) from error
    known = _known_rubrics(settings)
    if columns.rubric and (columns.rubric not in known or is_reader_rubric(columns.rubric)):
        message = f"--rubric {columns.rubric}: not known; known are {', '.join(sorted(known))}"
        raise SettingsError(message)
    return read_subscribers(data, known, columns)


def _known_rubrics(settings: Settings) -> Collection[str]:
    """Names of all rubric files, faulty ones included: their readers wait for the correction."""
    found = bootstrap.rubrics(settings)
    for slug, faults in found.faults.items():
        wait = f"rubric {slug} can't be read, so its readers get no mail"
        note(f"newsletter: {wait}: {'; '.join(faults)}")
    return {*found, *found.faults}


def _counts(done: ImportResult, options: ImportOptions) -> str:
    if options.address:
        changes = ", ".join(one.value for one in SubscriberChange if done.counts[one])
        return f"{options.address}: {changes}"
    return ", ".join(f"{done.counts[one]} {one.value}" for one in SubscriberChange)


def _say_changes(done: ImportResult, options: ImportOptions, *, listed: bool) -> None:
    say(f"{_counts(done, options)}{' (dry run: nothing was saved)' if options.dry_run else ''}")
    if listed:
        for row, merged in done.notable:
            for one in merged.changes:
                say(f"{_named(row)}: {one}")
            for one in merged.kept:
                stays = f"{one.name} stays {one.old}, as the reader chose"
                say(f"{_named(row)}: {stays}; given was {one.new}")
    if kept := sum(len(merged.kept) for _, merged in done.notable):
        say(f"{kept} preferences stay as readers chose them; --overwrite uses those of the file")
    if done.counts[SubscriberChange.SUPPRESSED]:
        say(
            "Suppressed addresses unsubscribed, bounced or complained before; they get no mail. "
            "If one asks for mail again: newsletter subscribers restore ADDRESS --consent TEXT"
        )
    if done.counts[SubscriberChange.ADDED] and not options.consent.strip():
        say("They stay pending until they confirm; use --consent if they agreed before.")


def show_export(out: str) -> int:
    with bootstrap.open_store(read_settings()).read() as tx:
        known = subscriptions.count(tx)
        by_rubric = subscriptions.count_by_rubric(tx)
        served = sum(by_rubric.values())
        text = readers.export(tx)
    if own := sum(number for slug, number in by_rubric.items() if is_reader_rubric(slug)):
        note(
            f"not in it: {plural(own, 'subscription')} to rubrics that readers wrote themselves; "
            "`newsletter db copy` and `db backup` keep them"
        )
    if left_out := known - served:
        note(f"not in it: {plural(left_out, 'subscription')}, pending, paused or unsubscribed")
    if out == "-":
        print_raw(text)
        return 0
    try:
        Path(out).touch(mode=0o600)
        Path(out).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        message = f"cannot write {file_error(error)}"
        raise OperatorError(message) from error
    return 0


def show_subscribers(*, as_json: bool) -> int:
    with bootstrap.open_store(read_settings()).read() as tx:
        found = list(subscriptions.all_subscriptions(tx))
        bounced = subscribers.bounced_because(tx)
    facts = [
        {
            "email": one.email,
            "rubric": one.rubric,
            "state": one.state.value,
            "name": one.name,
            "timezone": one.timezone or "",
            "send_at": f"{one.send_at:%H:%M}" if one.send_at else "",
            "consent": one.consent,
            "bounced": bounced.get(one.subscriber_id, ""),
        }
        for one in found
    ]
    if as_json:
        preferences = [
            {
                "days": [*one.days],
                "max_papers": one.max_papers,
                "format": one.format.value,
                "chosen": [*one.chosen],
            }
            for one in found
        ]
        print_json(
            [{**fact, **preference} for fact, preference in zip(facts, preferences, strict=True)]
        )
    elif facts:
        say(table("Subscribers", [*facts[0]], [[*fact.values()] for fact in facts]))
    else:
        say("No subscribers yet: newsletter subscribers import FILE --consent TEXT")
    return 0


def show_add(
    email: str, rubrics: Sequence[str], preferences: Mapping[str, str], options: ImportOptions
) -> int:
    """`preferences` are the cells of the columns, empty where nothing was said."""
    slugs = list(dict.fromkeys(slug.strip() for slug in rubrics)) or [""]
    given = {"ADDRESS": email, "--rubric SLUG": all(slugs)}
    if missing := [word for word, value in given.items() if not value]:
        message = f"{' and '.join(missing)} missing; add after: newsletter subscribers add"
        raise SettingsError(message)
    settings = read_settings()
    known = _known_rubrics(settings)
    csv_file = readers.read_rows(email, slugs, preferences, known)
    if csv_file.faults:
        raise SettingsError("; ".join(fault.message for fault in csv_file.faults))
    rows = csv_file.rows
    one = options._replace(address=rows[0].email) if len(rows) == 1 else options
    _keep(settings, rows, one, listed=True)
    return 0


def show_pause(email: str, *, resume: bool) -> int:
    with bootstrap.open_store(read_settings()).begin() as tx:
        known = _known(tx, email)
        change = subscribers.resume if resume else subscribers.pause
        done = change(tx, known.subscriber_id, "operator", bootstrap.now())
    state = "resumed" if resume else "paused"
    say(f"{known.email}: {state}" if done else f"{known.email} is {known.state.value}: no change")
    return 0


def show_remove(email: str, rubrics: Sequence[str], *, yes: bool) -> int:
    """Unsubscribe an address from these rubrics, or from all."""
    store = bootstrap.open_store(read_settings())
    with store.read() as tx:
        known = _known(tx, email)
        found = subscriptions.of_address(tx, email)
    readers.check_read(known, found, rubrics)
    live = readers.live(found, rubrics)
    if not yes and live:
        what = " and ".join(repr(one.rubric) for one in live)
        confirm(f"Unsubscribe {known.email} from {what} permanently? No import undoes this.")
    with store.begin() as tx:
        done = readers.remove(tx, found, rubrics, bootstrap.now())
    say(f"{known.email}: {'unsubscribed permanently' if done else 'was unsubscribed already'}")
    return 0


def show_restore(email: str, rubrics: Sequence[str], consent: str) -> int:
    """Reactivate an address that unsubscribed or bounced, here and at the provider."""
    if not consent.strip():
        message = "--consent TEXT is empty; say how they asked to get mail again"
        raise SettingsError(message)
    settings = read_settings()
    address, store = _address(email), bootstrap.open_store(settings)
    with store.read() as tx:
        wanted = readers.restorable(tx, address, rubrics)
        if not wanted.is_needed:
            say(f"{address} is {_known(tx, address).state.value}: no change")
            return 0
    # The provider first: the other order could let it drop the mail of an active reader.
    if lists := bootstrap.suppression_lists(settings):
        lists.free(wanted.known.email if wanted.known else address)
    with store.begin() as tx:
        back = readers.restore(tx, address, rubrics, consent.strip(), bootstrap.now())
    if back:
        what = " and ".join(repr(one.rubric) for one in back)
        say(f"{back[0].email}: active again, with {what}")
    else:
        say(
            f"{address} may be mailed again, but is no subscriber: "
            f"newsletter subscribers add {address} --rubric SLUG --consent TEXT"
        )
    return 0


def _address(text: str) -> str:
    try:
        return parse_address(text.strip())
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _known(tx: Connection, email: str) -> Subscription:
    known = subscriptions.find(tx, email)
    if known is None:
        message = f"{email} is no subscriber; see: newsletter subscribers list"
        raise OperatorError(message)
    return known
