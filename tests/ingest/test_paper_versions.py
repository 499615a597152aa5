"""Later versions are kept as versions; a withdrawal of what readers were sent is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from newsletter.domain.announcements import announcement, following
from newsletter.domain.model import DayKind, Withdrawal
from newsletter.domain.withdrawals import is_withdrawn
from newsletter.ingest.feed_check import FeedState
from newsletter.ingest.status import with_provenance
from newsletter.store import digests, paper_versions
from newsletter.store import papers as shelf
from newsletter.store.tables import paper, paper_version
from tests.fakes.sky import Version, withdrawal
from tests.ingest.test_feed_check import morning
from tests.ingest.test_poll import MONDAY, TUESDAY, WEDNESDAY, House
from tests.render.gallery import issues

REASON = "This paper has been withdrawn by the author due to an error in Lemma 2"


@pytest.fixture
def house(store):
    made = House(store, "cs.LG", since=MONDAY)
    made.sky.feedless.clear()
    return made


def weeks():
    days = [MONDAY]
    while len(days) < 12:
        days.append(following(days[-1]))
    return days


def stored(house):
    with house.store.read() as tx:
        columns = paper_version.c.paper_id, paper_version.c.version, paper_version.c.withdrawn
        return [tuple(row) for row in tx.execute(select(*columns).order_by(*columns))]


def freeze(house, day, *, kind=DayKind.NORMAL, rubric=issues.RUBRIC, pick=True):
    """A digest of what is listed under the day; its papers are all picked, or none is."""
    with house.store.begin() as tx:
        listed = [one.paper for one in shelf.listed(tx, house.categories, day)]
        made = issues.digest(tuple(replace(issues.pick(), paper=each) for each in listed if pick))
        coverage = replace(made.coverage, papers=tuple(each.id for each in listed))
        made = replace(made, date=day, kind=kind, coverage=coverage, rubric=rubric)
        made = with_provenance(tx, made, timedelta(days=7))
        digests.save(tx, made, house.clock())
    return made


def test_a_replacement_is_a_version_and_no_new_paper(house):
    house.put(1, MONDAY, versions=(Version(TUESDAY, 2, {"title": "Better"}),))
    house.put(2, TUESDAY)
    morning(house, MONDAY)
    assert stored(house) == []
    assert morning(house, TUESDAY).papers == 1
    assert stored(house) == [("2509.00001", 2, False)]
    with house.store.read() as tx:
        assert tx.scalar(select(paper.c.title).where(paper.c.id == "2509.00001")) != "Better"
        assert tx.scalar(select(paper_version.c.title)) == "Better"


def test_versions_of_papers_we_never_listed_are_nothing_to_us(house):
    house.put(1, MONDAY, versions=(Version(TUESDAY, 2),))
    house.put(2, TUESDAY)
    morning(house, TUESDAY)
    assert stored(house) == []


def test_a_version_is_asked_for_once(house):
    days = weeks()
    house.put(1, MONDAY, versions=(Version(days[9], 2),))
    for number, day in enumerate(days[1:10], 2):
        house.put(number, day)
    for day in days[:10]:
        morning(house, day)
    assert stored(house) == [("2509.00001", 2, False)]
    house.clock.on(hours=2)
    house.again()
    assert [what for what, _ in house.source.asked].count("by_id") == 1


def test_a_withdrawal_of_what_was_sent_is_told_once_in_each_rubric(house):
    house.put(1, MONDAY, versions=(withdrawal(WEDNESDAY),))
    house.put(2, TUESDAY)
    house.put(3, WEDNESDAY)
    other = replace(issues.RUBRIC, slug="other")
    house.put(4, following(WEDNESDAY))
    for day in (MONDAY, TUESDAY):
        morning(house, day)
        assert freeze(house, day).withdrawn == ()
        freeze(house, day, rubric=other, pick=False)
    morning(house, WEDNESDAY)
    told = freeze(house, WEDNESDAY).withdrawn
    assert told == (Withdrawal("2509.00001", "Title of 2509.00001", MONDAY, REASON),)
    assert freeze(house, WEDNESDAY, rubric=other).withdrawn == ()
    morning(house, following(WEDNESDAY))
    assert freeze(house, following(WEDNESDAY)).withdrawn == ()
    with house.store.read() as tx:
        found = digests.load(tx, issues.RUBRIC.slug, MONDAY)
        assert found is not None
        assert paper_versions.withdrawn_of(tx, found[0]) == {"2509.00001": REASON}
        again = digests.load(tx, issues.RUBRIC.slug, WEDNESDAY)
        assert again is not None
        assert again[1].withdrawn == told


def test_a_day_without_mail_leaves_the_telling_to_the_next(house):
    house.put(1, MONDAY, versions=(withdrawal(TUESDAY),))
    house.put(2, TUESDAY)
    house.put(3, WEDNESDAY)
    morning(house, MONDAY)
    freeze(house, MONDAY)
    morning(house, TUESDAY)
    assert freeze(house, TUESDAY, kind=DayKind.NOTHING_ANNOUNCED).withdrawn == ()
    morning(house, WEDNESDAY)
    assert len(freeze(house, WEDNESDAY).withdrawn) == 1


def test_who_takes_a_paper_back_may_return_it(house):
    back = Version(WEDNESDAY, 3, {"comment": "Lemma 2 mended", "abstract": "Now it is right."})
    house.put(1, MONDAY, versions=(withdrawal(TUESDAY), back))
    house.put(2, TUESDAY)
    house.put(3, WEDNESDAY)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        morning(house, day)
        if day == MONDAY:
            freeze(house, day)
    assert stored(house) == [("2509.00001", 2, True), ("2509.00001", 3, False)]
    assert freeze(house, WEDNESDAY).withdrawn == ()


def test_without_a_list_what_was_sent_is_looked_up_the_next_day(house):
    days = weeks()
    gone = days[10]
    house.put(1, MONDAY, versions=(withdrawal(gone),))
    house.sky.feedless.add(gone)
    for number, day in enumerate(days[1:], 2):
        house.put(number, day)
    for day in days:
        morning(house, day)
        made = freeze(house, day)
    assert days[10] - MONDAY > timedelta(days=7)
    assert [one.paper_id for one in made.withdrawn] == ["2509.00001"]


def test_an_old_digest_without_these_fields_still_loads(house):
    house.put(1, MONDAY)
    morning(house, MONDAY)
    made = freeze(house, MONDAY)
    text = digests.CODEC.dump_json(replace(made, withdrawn=())).decode()
    import json

    body = json.loads(text)
    del body["withdrawn"], body["coverage"]["crosscheck"]
    old = digests.CODEC.validate_json(json.dumps(body))
    assert old.withdrawn == ()
    assert old.coverage.crosscheck is None


def test_the_receipt_knows_how_the_day_was_made_sure_of(house):
    house.put(1, MONDAY)
    morning(house, MONDAY)
    found = freeze(house, MONDAY).coverage.crosscheck
    assert found is not None
    assert (found.state, found.named, found.whole) == (
        FeedState.FRESH,
        {"cs.LG": (1, 1)},
        {"cs.LG": "feed"},
    )


def test_the_receipt_of_a_past_date_says_nothing_of_it(house):
    house.put(1, MONDAY)
    house.clock.now = announcement(WEDNESDAY).public_from
    house.fetch(MONDAY, wait_until_complete=False)
    assert freeze(house, MONDAY).coverage.crosscheck is None


@pytest.mark.parametrize(
    ("comment", "abstract"),
    [
        (REASON, ""),
        ("Withdrawn: the main theorem is wrong", ""),
        ("[withdrawn] superseded by 2501.00001", ""),
        ("12 pages; withdrawn by the authors", ""),
        ("This submission has been withdrawn by arXiv administrators", ""),
        ("", "This paper has been withdrawn by the author(s)."),
        ("v2: the paper is withdrawn due to a crucial error in eq. 3", ""),
    ],
)
def test_what_a_withdrawal_says(comment, abstract):
    assert is_withdrawn(replace(issues.paper(), comment=comment, abstract=abstract))


@pytest.mark.parametrize(
    ("comment", "abstract"),
    [
        ("Withdrawn from ICML 2024 to be extended", ""),
        ("The paper was withdrawn from NeurIPS by us", ""),
        ("10 pages, 3 figures", ""),
        ("", "We study why drugs are withdrawn from the market."),
        ("", "The offer was withdrawn. This paper has shown why."),
        ("data of withdrawn subjects are excluded", ""),
    ],
)
def test_what_only_sounds_like_one(comment, abstract):
    assert not is_withdrawn(replace(issues.paper(), comment=comment, abstract=abstract))
