"""Import of a subscribers file: upload, preview, confirm; the rules of `subscribers import`.

Nothing is stored before the confirmation: the page of the preview holds the file, compressed, in a
hidden field. The stamp of its form is a hash of what the import would do: if anything of that
changed meanwhile, nothing is imported, and the new preview is shown.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from newsletter.delivery.confirmation import IMPORTED_AN_HOUR
from newsletter.domain.csv_header import COLUMNS, NO_HEADER, Columns, is_header, suggested
from newsletter.domain.formatting import first_names, plural
from newsletter.domain.subscriber_csv import SubscriberFile, first_line, read_subscribers
from newsletter.store import subscriber_import
from newsletter.store.operator.actions import ActionKind
from newsletter.store.subscribers import SubscriberChange
from newsletter.web.forms import MAX_UPLOAD, first
from newsletter.web.operator import auth
from newsletter.web.operator.actions import Change, operator_page, perform, stamp
from newsletter.web.operator.reader_forms import MAX_TEXT, send_invitations
from newsletter.web.operator.readers import known_rubrics, rubric_choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from newsletter.store.subscriber_import import ImportResult
    from newsletter.web.context import Site
    from newsletter.web.forms import Form, Upload
    from newsletter.web.operator.auth import OperatorSession, SentForm

MAX_ROWS = 20_000
"""Their preview and their import take two seconds of processor time each."""
MAX_COLUMNS = 200
SHOWN = 100
"""Lines of each list of a preview."""
PATH = "/readers/import"
CONFIRM = "import"
OPTIONS = ("rubric", "consent", "overwrite", "ignore")
PLACES = (*(f"column-{name}" for name in COLUMNS), "column-name-2")
"""Fields with the place of a column in the file."""


@dataclass(frozen=True)
class GivenFile:
    """An uploaded file, with what the operator says about it."""

    data: bytes
    packed: str
    names: tuple[str, ...]
    """The file's own names of its columns."""
    options: Mapping[str, str]
    places: Mapping[str, str]
    """By field: the number of the file's column, or nothing."""

    @property
    def columns(self) -> Columns:
        theirs = {column: self._theirs(column) for column in COLUMNS}
        return Columns(theirs, self.options["rubric"], ignore=True)

    @property
    def unused(self) -> list[str]:
        used = set(self.places.values())
        return [
            name.strip()[:40] or f"column {place + 1}"
            for place, name in enumerate(self.names)
            if str(place) not in used
        ]

    @property
    def hidden(self) -> dict[str, str]:
        return {"packed": self.packed, **self.options, **self.places}

    def _theirs(self, column: str) -> tuple[str, ...]:
        fields = (f"column-{column}", f"column-{column}-2")
        places = [self.places[one] for one in fields if self.places.get(one)]
        return tuple(dict.fromkeys(self.names[int(place)] for place in places))


def form_of_upload(
    answer: Callable[[Site, Request, Form], Response],
) -> Callable[[Site, Request, Upload], Response]:
    """`answer` for an upload: its texts, and its file as the field `packed`."""

    def unpacked(site: Site, request: Request, upload: Upload) -> Response:
        texts = {
            name: (value.decode("utf-8", "replace").replace("\0", ""),)
            for name, value in upload.items()
            if name != "file"
        }
        if data := upload.get("file", b""):
            texts["packed"] = (packed(data),)
        return answer(site, request, texts)

    return unpacked


def may_upload(site: Site, request: Request) -> bool:
    return auth.session(site, request) is not None


def show(site: Site, request: Request) -> Response:
    session = auth.session(site, request)
    if session is None:
        return auth.login_page(site, request.scope["path"])
    return _page(site, session, _given({}), {})


def answer(site: Site, _request: Request, sent: SentForm) -> Response:
    """Show what an import of the file would do; import it if the form is that of a preview."""
    given = _given(sent.fields)
    if errors := _errors(given, known_rubrics(site)):
        return _page(site, sent.session, given, errors)
    if first(sent.fields, "action") == CONFIRM:
        return _import(site, sent, given)
    return _preview(site, sent.session, given, {})


def _import(site: Site, sent: SentForm, given: GivenFile) -> Response:
    """Import the file, if the import still does what the preview said."""
    found = _read(site, given)
    trial = _Import(site, given, found)

    def ask_again(_state: Mapping[str, Any], last: str) -> Response:
        return _preview(site, sent.session, given, {"outdated": last or "Nothing was imported."})

    emails = dict.fromkeys(row.email for row in found.rows)
    change = Change(
        ActionKind.IMPORT_READERS,
        "readers",
        trial.state,
        trial.apply,
        "/readers",
        refused_back=PATH,
        then=None if given.options["consent"] else partial(send_invitations, site, emails),
        changed_page=ask_again,
    )
    return perform(site, sent, change)


@dataclass
class _Import:
    """The import of one file. Its state is what it would do; when it is done, what it did."""

    site: Site
    given: GivenFile
    found: SubscriberFile
    done: ImportResult | None = field(default=None, init=False)

    def trial(self, tx: Connection) -> ImportResult:
        trial = tx.begin_nested()
        result = self._save(tx, self.site.app.clock())
        trial.rollback()
        return result

    def state(self, tx: Connection) -> Mapping[str, Any]:
        if self.done:
            counts = {one.value: number for one, number in self.done.counts.items()}
            refused = len(self.found.faults)
            return {**counts, "refused": refused} if refused else counts
        return self.state_of(self.trial(tx))

    def state_of(self, result: ImportResult) -> Mapping[str, Any]:
        lines = {one.value: [row.line for row in rows] for one, rows in result.rows.items() if rows}
        said = {
            "file": hashlib.sha256(self.given.data).hexdigest(),
            "said": [dict(self.given.options), dict(self.given.places)],
            "lines": lines,
            "changes": [str(one) for _, merged in result.notable for one in merged.changes],
            "kept": [str(one) for _, merged in result.notable for one in merged.kept],
            "refused": [str(one) for one in self.found.faults],
        }
        return {"hash": stamp(said)}

    def apply(self, tx: Connection, now: datetime) -> None:
        self.done = self._save(tx, now)

    def _save(self, tx: Connection, now: datetime) -> ImportResult:
        options = self.given.options
        overwrite = bool(options["overwrite"])
        rows = self.found.rows
        return subscriber_import.save_all(tx, rows, options["consent"], now, overwrite=overwrite)


def _preview(
    site: Site, session: OperatorSession, given: GivenFile, more: Mapping[str, str]
) -> Response:
    found = _read(site, given)
    if not found.rows or len(found.rows) > MAX_ROWS:
        lines = f"{plural(len(found.rows), 'line')}, and this page imports {MAX_ROWS:,}"
        long = f"{lines}. Import it by the command newsletter subscribers import"
        errors = {"file": long if found.rows else "no line can be imported"}
        return _page(site, session, given, errors, faults=found.faults)
    trial = _Import(site, given, found)
    with site.app.store.begin() as tx:
        result = trial.trial(tx)
    values = {**_lists(result), "stamp": stamp(trial.state_of(result)), **more}
    return _page(site, session, given, {}, faults=found.faults, preview=values)


def _lists(result: ImportResult) -> dict[str, Any]:
    """The lines of a preview: of each kind the first, and the number of all."""
    changed = [
        (row, [str(one) for one in merged.changes])
        for row, merged in result.notable
        if merged.changes
    ]
    kept = [
        (row, [f"{one.name} stays {one.old}, as the reader chose" for one in merged.kept])
        for row, merged in result.notable
        if merged.kept
    ]
    known = {row.line for row, _ in changed}
    new = [row for row in result.rows[SubscriberChange.ADDED] if row.line not in known]
    shut = result.rows[SubscriberChange.SUPPRESSED]
    lists: list[tuple[str, str, Sequence[Any]]] = [
        ("New readers", "", [(row, ()) for row in new]),
        ("Changes of known readers", "", changed),
        ("What readers chose stays", "", kept),
        (
            "Left out: no mail may go to them",
            "They unsubscribed, bounced or complained before. Restore them on their page.",
            [(row, ()) for row in shut],
        ),
    ]
    return {
        "counts": [(one.value, result.counts[one]) for one in SubscriberChange],
        "lists": [
            {"title": title, "note": note, "number": len(lines), "lines": lines[:SHOWN]}
            for title, note, lines in lists
            if lines
        ],
    }


def _page(
    site: Site,
    session: OperatorSession,
    given: GivenFile,
    errors: Mapping[str, str],
    *,
    faults: Sequence[object] = (),
    preview: Mapping[str, Any] | None = None,
) -> Response:
    is_outdated = bool(preview and "outdated" in preview)
    return operator_page(
        site,
        session,
        "operator_reader_import.html",
        here="/readers",
        status=409 if is_outdated else 422 if errors else 200,
        title="Import readers",
        given=given,
        values=given.options,
        errors=errors,
        faults=[str(one) for one in faults[:SHOWN]],
        fault_count=len(faults),
        preview=preview,
        rubrics=rubric_choices(site),
        columns=[(name, label) for name, label in zip(PLACES, _labels(), strict=True)],
        max_upload=MAX_UPLOAD // 2**20,
        max_rows=MAX_ROWS,
        an_hour=IMPORTED_AN_HOUR,
    )


def _labels() -> list[str]:
    return [*(name.replace("_", " ") for name in COLUMNS), "last name, if it has its own column"]


def _read(site: Site, given: GivenFile) -> SubscriberFile:
    return read_subscribers(given.data, known_rubrics(site), given.columns)


def _given(form: Form) -> GivenFile:
    """What a form says; columns are suggested where it says nothing of them."""
    packed = first(form, "packed")
    data = _unpacked(packed)
    names = first_line(data) if data else ()
    options = {name: first(form, name)[:MAX_TEXT] for name in OPTIONS}
    if PLACES[0] in form:
        places = {name: _place(first(form, name), names) for name in PLACES}
    else:
        places = _suggested(names)
    return GivenFile(data, packed if data else "", names, options, places)


def _suggested(names: Sequence[str]) -> dict[str, str]:
    places = dict.fromkeys(PLACES, "")
    for column, found in suggested(names).items():
        for place, end in zip(found, ("", "-2"), strict=False):
            places[f"column-{column}{end}"] = str(place)
    return places


def _place(given: str, names: Sequence[str]) -> str:
    is_number = given.isascii() and given.isdecimal() and len(given) < len(str(MAX_COLUMNS)) + 1
    return str(int(given)) if is_number and int(given) < len(names) else ""


def _errors(given: GivenFile, known: set[str]) -> dict[str, str]:
    """What is wrong or missing in what the operator said, by field."""
    if not given.data:
        return {"file": "choose a file"}
    if given.names and not is_header(given.names):
        return {"file": NO_HEADER}
    if len(given.names) > MAX_COLUMNS:
        number = f"{len(given.names):,}"
        return {"file": f"it has {number} columns; at most {MAX_COLUMNS} can be imported"}
    errors: dict[str, str] = {}
    rubric, by_line = given.options["rubric"], given.places["column-rubric"]
    if rubric and rubric not in known:
        errors["rubric"] = "choose a rubric"
    elif given.names and bool(rubric) == bool(by_line):
        both = "choose this or a column, not both"
        errors["rubric"] = both if rubric else "choose one, or the column that names it below"
    if given.names and not given.places["column-email"]:
        errors["column-email"] = "choose the column with the addresses"
    if given.unused and not given.options["ignore"]:
        errors["ignore"] = f"not used: {first_names(given.unused, 30)}"
    return errors


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def _unpacked(packed: str) -> bytes:
    """The file of the field `packed`; none if it is not ours, or longer than an upload may be."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b64decode(packed, validate=True), MAX_UPLOAD)
    except (ValueError, zlib.error):
        return b""
    return data if unpacker.eof else b""
