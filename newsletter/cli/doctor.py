"""`doctor`: one line for each finding, and the DNS records to set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsletter import bootstrap
from newsletter.cli.console import print_json, screen
from newsletter.domain.findings import FindingState, fail
from newsletter.domain.formatting import plural
from newsletter.operations.doctor.run import examine
from newsletter.settings import SettingsError, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from newsletter.domain.findings import Finding

SETTINGS_WRONG = 2
STYLES = {FindingState.OK: "green", FindingState.WARN: "yellow", FindingState.FAIL: "bold red"}


def show_doctor(*, offline: bool, as_json: bool) -> int:
    try:
        found = examine(read_settings(), bootstrap.now, offline=offline)
    except SettingsError as error:
        found = [fail("settings", fault, "") for fault in error.faults]
    if as_json:
        print_json(_as_json(found))
    else:
        _show(screen(), found)
    return _status(found)


def _status(found: Sequence[Finding]) -> int:
    failed = [one for one in found if one.state is FindingState.FAIL]
    if any(one.check == "settings" for one in failed):
        return SETTINGS_WRONG
    return 1 if failed else 0


def _as_json(found: Sequence[Finding]) -> dict[str, object]:
    worst = max((one.state for one in found), key=[*FindingState].index, default=FindingState.OK)
    return {
        "state": worst,
        "checks": [
            {"check": one.check, "state": one.state, "said": one.said, "fix": one.fix}
            for one in found
        ],
        "records": [record._asdict() for one in found for record in one.records],
    }


def _show(console: Console, found: Sequence[Finding]) -> None:
    from rich.text import Text

    width = max(len(one.check) for one in found)
    for one in found:
        line = Text(f"{one.state:<5} ", style=STYLES[one.state])
        line.append(f"{one.check:<{width}}  {one.said}", style="none")
        if one.fix:
            line.append(f"; {one.fix}", style="none")
        console.print(line)
    _show_records(console, found)
    counts = [sum(one.state is state for one in found) for state in FindingState]
    console.print(f"\n{counts[0]} passed, {plural(counts[1], 'warning')}, {counts[2]} failed")


def _show_records(console: Console, found: Sequence[Finding]) -> None:
    rows = [record for one in found for record in one.records]
    if not rows:
        return
    wide = max(len(record.host) for record in rows)
    console.print("\nDNS records, as host, type and value:")
    for record in rows:
        mark = "ok" if record.stands else "set"
        console.print(f"{mark:<5} {record.host:<{wide}}  {record.type:<5}  {record.value}")
