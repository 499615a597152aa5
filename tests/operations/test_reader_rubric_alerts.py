"""What happens to the rubrics that readers wrote is one alert for all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import update

from newsletter.domain.alerts import (
    READER_RUBRICS,
    AlertKind,
    Incident,
    ServiceState,
    Thresholds,
    merge_reader_rubrics,
    with_reader_rubrics_merged,
)
from newsletter.operations.alert_rules import find_alerts
from newsletter.operations.alerting import collect_state, thresholds
from newsletter.store import reader_rubrics
from newsletter.store.tables import reader_rubric_version
from tests.fakes.reader_rubrics import WRITTEN, add_reader, catalog_of, save_rubric, text
from tests.fakes.simulated_service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.domain.alerts import Alert
    from newsletter.store import Store

NOW = datetime(2025, 11, 18, 9, 0, tzinfo=UTC)
TUESDAY, MONDAY = date(2025, 11, 18), date(2025, 11, 17)
ONE, TWO = "own-aaaaaaaaaaaa", "own-bbbbbbbbbbbb"


def incident(slug: str, number: int = 0, reason: str = "", day: date = TUESDAY) -> Incident:
    return Incident(slug, day, NOW - timedelta(hours=2), number, reason)


def test_incidents_of_a_day_are_merged_and_those_of_the_operators_stay() -> None:
    found = [incident("models", 1), incident(ONE, 2, "no answer"), incident(TWO, 3, "refused")]
    later = incident(TWO, day=MONDAY)
    models, merged, other = merge_reader_rubrics([*found, later])
    assert models == found[0]
    assert (merged.rubric, merged.day, merged.number) == (READER_RUBRICS, TUESDAY, 5)
    assert merged.reason == f"2 of them, the first {ONE}: no answer"
    assert (other.day, other.reason) == (MONDAY, "")


def test_every_kind_of_alert_names_them_once_and_its_command_can_be_run() -> None:
    some = (incident(ONE, 1, "why"), incident(TWO, 1, "why"), incident("models", 1, "why"))
    state = with_reader_rubrics_merged(
        ServiceState(
            NOW,
            invalid_rubrics=some,
            scoring_failures=some,
            missing_digests=tuple(replace(one, day=MONDAY) for one in some),
            overdue_mail=tuple(replace(one, day=MONDAY) for one in some),
            unknown_mail=some,
            halted_digests=tuple(replace(one, number=0) for one in some),
            held_first_mails=some,
            rubric_spending=(incident(ONE, 29_000_000),),
        )
    )
    limits = Thresholds(timedelta(hours=3), 30_000_000, None, 0)
    found = find_alerts(state, limits)
    kinds = [one.kind for one in found]
    assert len(kinds) == 2 * len(set(kinds)) == 14
    assert AlertKind.BUDGET_NEAR not in kinds, "a small budget is meant to be spent"
    commands = [one.command for one in found if one.subject.startswith(READER_RUBRICS)]
    assert len(commands) == 7
    assert not [one for one in commands if READER_RUBRICS in one or "own-" in one]


def alerts_of(service: Service) -> list[Alert]:
    app = service.app
    app.rubrics.reread()  # type: ignore[attr-defined]
    state = collect_state(app.store, app.settings, app.rubrics, app.source, service.now)
    return find_alerts(state, thresholds(app.settings))


def test_broken_texts_are_one_alert_and_paused_ones_none(store: Store, tmp_path: Path) -> None:
    service = Service(store, reader_rubrics=5)
    catalog = catalog_of(store, tmp_path / "rubrics", "Models")
    service.app = replace(service.app, rubrics=catalog)
    reader = add_reader(store, 1)
    broken = [save_rubric(store, reader, text("One")), save_rubric(store, reader, text("Two"))]
    paused = save_rubric(store, reader)
    with store.begin() as tx:
        mine = reader_rubric_version.c.slug.in_(broken)
        tx.execute(update(reader_rubric_version).where(mine).values(text="nothing"))
        reader_rubrics.pause(tx, paused, reader_rubrics.PausedBy.OPERATOR, WRITTEN, "dear")
    service.next_announcement()
    [alert] = [one for one in alerts_of(service) if one.kind is AlertKind.RUBRIC]
    assert alert.subject == READER_RUBRICS
    assert "2 of them" in alert.what
    assert "2 readers" in alert.what


def test_digests_that_are_missing_are_one_alert(store: Store, tmp_path: Path) -> None:
    service = Service(store, reader_rubrics=5)
    catalog = catalog_of(store, tmp_path / "rubrics", "Models")
    service.app = replace(service.app, rubrics=catalog)
    reader = add_reader(store, 1)
    service.next_announcement()
    service.build_digests()
    for title in ("One", "Two", "Three"):
        save_rubric(store, reader, text(title))
    service.now += timedelta(hours=10)
    [missed] = [one for one in alerts_of(service) if one.kind is AlertKind.MISSED]
    assert missed.subject == f"{READER_RUBRICS} of {TUESDAY}"
