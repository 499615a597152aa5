"""Later versions are kept as versions; a withdrawal of what readers were sent is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from newsletter.domain.announcements import announcement, following
from newsletter.domain.model import DayKind, Withdrawal
from newsletter.domain.withdrawals import is_withdrawn
from newsletter.ingest.feed_check import FeedState
from newsletter.ingest.status import with_provenance
from newsletter.store import digests, paper_versions
from newsletter.store import papers as shelf
from newsletter.store.search import codec
from newsletter.store.tables import paper, paper_version
from tests.fakes.arxiv_timeline import TimelineSource, Version, withdrawal
from tests.ingest.test_feed_check import morning
from tests.ingest.test_poll import MONDAY, TUESDAY, WEDNESDAY, FetchService
from tests.render.gallery import issues

REASON = "This paper has been withdrawn by the author due to an error in Lemma 2"


@pytest.fixture
def service(store):
    made = FetchService(store, "cs.LG", since=MONDAY)
    made.timeline.feedless.clear()
    return made


def weeks():
    days = [MONDAY]
    while len(days) < 12:
        days.append(following(days[-1]))
    return days


def stored(service):
    with service.store.read() as tx:
        columns = paper_version.c.paper_id, paper_version.c.version, paper_version.c.withdrawn
        return [tuple(row) for row in tx.execute(select(*columns).order_by(*columns))]


def freeze(service, day, *, kind=DayKind.NORMAL, rubric=issues.RUBRIC, pick=True):
    """A digest of what is listed under the day; its papers are all picked, or none is."""
    with service.store.begin() as tx:
        listed = [one.paper for one in shelf.listed(tx, service.categories, day)]
        made = issues.digest(tuple(replace(issues.pick(), paper=each) for each in listed if pick))
        coverage = replace(made.coverage, papers=tuple(each.id for each in listed))
        made = replace(made, date=day, kind=kind, coverage=coverage, rubric=rubric)
        made = with_provenance(tx, made, timedelta(days=7))
        digests.save(tx, made, service.clock())
    return made


def test_a_replacement_is_a_version_and_no_new_paper(service):
    service.put(1, MONDAY, versions=(Version(TUESDAY, 2, {"title": "Better"}),))
    service.put(2, TUESDAY)
    morning(service, MONDAY)
    assert stored(service) == []
    assert morning(service, TUESDAY).papers == 1
    assert stored(service) == [("2509.00001", 2, False)]
    with service.store.read() as tx:
        assert tx.scalar(select(paper.c.title).where(paper.c.id == "2509.00001")) != "Better"
        assert tx.scalar(select(paper_version.c.title)) == "Better"


def test_a_poll_with_a_new_version_is_one_transaction(service):
    service.put(1, MONDAY, versions=(Version(TUESDAY, 2),))
    service.put(2, TUESDAY)
    morning(service, MONDAY)
    commits = []
    event.listen(service.store.engine, "commit", commits.append)
    morning(service, TUESDAY)
    assert stored(service) == [("2509.00001", 2, False)]
    assert len(commits) == 1


def test_a_poll_that_is_killed_between_its_questions_stores_nothing(service):
    days = weeks()
    late = days[9]
    service.put(1, MONDAY, versions=(Version(late, 2),))
    for number, day in enumerate(days[1:10], 2):
        service.put(number, day)
    for day in days[:9]:
        morning(service, day)

    class Killed(TimelineSource):
        def by_id(self, _ids):
            raise KeyboardInterrupt

    good, service.source = service.source, Killed(service.timeline)
    with pytest.raises(KeyboardInterrupt):
        morning(service, late)
    assert (service.on(late), service.how(late)) == ([], {})
    service.source = good
    assert morning(service, late).papers == 1
    assert stored(service) == [("2509.00001", 2, False)]


def test_of_two_newer_versions_both_are_kept_and_the_newest_counts(service):
    service.put(1, MONDAY)
    morning(service, MONDAY)
    with service.store.begin() as tx:
        [listed] = shelf.listed(tx, service.categories, MONDAY)
        back = replace(listed.paper, version=3)
        gone = replace(listed.paper, version=2, comment=REASON)
        assert paper_versions.keep(tx, [gone, back, gone], service.clock()) == 2
        assert paper_versions.keep(tx, [gone, back], service.clock()) == 0
    assert stored(service) == [("2509.00001", 2, True), ("2509.00001", 3, False)]


def test_versions_of_papers_we_never_listed_are_nothing_to_us(service):
    service.put(1, MONDAY, versions=(Version(TUESDAY, 2),))
    service.put(2, TUESDAY)
    morning(service, TUESDAY)
    assert stored(service) == []


def test_a_version_is_asked_for_once(service):
    days = weeks()
    service.put(1, MONDAY, versions=(Version(days[9], 2),))
    for number, day in enumerate(days[1:10], 2):
        service.put(number, day)
    for day in days[:10]:
        morning(service, day)
    assert stored(service) == [("2509.00001", 2, False)]
    service.clock.on(hours=2)
    service.again()
    assert [what for what, _ in service.source.asked].count("by_id") == 1


def test_a_withdrawal_of_what_was_sent_is_told_once_in_each_rubric(service):
    service.put(1, MONDAY, versions=(withdrawal(WEDNESDAY),))
    service.put(2, TUESDAY)
    service.put(3, WEDNESDAY)
    other = replace(issues.RUBRIC, slug="other")
    service.put(4, following(WEDNESDAY))
    for day in (MONDAY, TUESDAY):
        morning(service, day)
        assert freeze(service, day).withdrawn == ()
        freeze(service, day, rubric=other, pick=False)
    morning(service, WEDNESDAY)
    told = freeze(service, WEDNESDAY).withdrawn
    assert told == (Withdrawal("2509.00001", "Title of 2509.00001", MONDAY, REASON),)
    assert freeze(service, WEDNESDAY, rubric=other).withdrawn == ()
    morning(service, following(WEDNESDAY))
    assert freeze(service, following(WEDNESDAY)).withdrawn == ()
    with service.store.read() as tx:
        found = digests.load(tx, issues.RUBRIC.slug, MONDAY)
        assert found is not None
        assert paper_versions.withdrawn_of(tx, found[0]) == {"2509.00001": REASON}
        again = digests.load(tx, issues.RUBRIC.slug, WEDNESDAY)
        assert again is not None
        assert again[1].withdrawn == told


def test_a_day_without_mail_leaves_the_telling_to_the_next(service):
    service.put(1, MONDAY, versions=(withdrawal(TUESDAY),))
    service.put(2, TUESDAY)
    service.put(3, WEDNESDAY)
    morning(service, MONDAY)
    freeze(service, MONDAY)
    morning(service, TUESDAY)
    assert freeze(service, TUESDAY, kind=DayKind.NOTHING_ANNOUNCED).withdrawn == ()
    morning(service, WEDNESDAY)
    assert len(freeze(service, WEDNESDAY).withdrawn) == 1


def test_who_takes_a_paper_back_may_return_it(service):
    back = Version(WEDNESDAY, 3, {"comment": "Lemma 2 mended", "abstract": "Now it is right."})
    service.put(1, MONDAY, versions=(withdrawal(TUESDAY), back))
    service.put(2, TUESDAY)
    service.put(3, WEDNESDAY)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        morning(service, day)
        if day == MONDAY:
            freeze(service, day)
    assert stored(service) == [("2509.00001", 2, True), ("2509.00001", 3, False)]
    assert freeze(service, WEDNESDAY).withdrawn == ()


def test_without_a_list_what_was_sent_is_looked_up_the_next_day(service):
    days = weeks()
    gone = days[10]
    service.put(1, MONDAY, versions=(withdrawal(gone),))
    service.timeline.feedless.add(gone)
    for number, day in enumerate(days[1:], 2):
        service.put(number, day)
    for day in days:
        morning(service, day)
        made = freeze(service, day)
    assert days[10] - MONDAY > timedelta(days=7)
    assert [one.paper_id for one in made.withdrawn] == ["2509.00001"]


def test_an_old_digest_without_these_fields_still_loads(service):
    service.put(1, MONDAY)
    morning(service, MONDAY)
    made = freeze(service, MONDAY)
    text = codec().dump_json(replace(made, withdrawn=())).decode()
    import json

    body = json.loads(text)
    del body["withdrawn"], body["coverage"]["crosscheck"]
    old = codec().validate_json(json.dumps(body))
    assert old.withdrawn == ()
    assert old.coverage.crosscheck is None


def test_the_receipt_knows_how_the_day_was_made_sure_of(service):
    service.put(1, MONDAY)
    morning(service, MONDAY)
    found = freeze(service, MONDAY).coverage.crosscheck
    assert found is not None
    assert (found.state, found.named, found.whole) == (
        FeedState.FRESH,
        {"cs.LG": (1, 1)},
        {"cs.LG": "feed"},
    )


def test_the_receipt_of_a_past_date_says_nothing_of_it(service):
    service.put(1, MONDAY)
    service.clock.now = announcement(WEDNESDAY).public_from
    service.fetch(MONDAY, wait_until_complete=False)
    assert freeze(service, MONDAY).coverage.crosscheck is None


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
