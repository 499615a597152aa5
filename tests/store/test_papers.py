from __future__ import annotations

from newsletter.store import Store, papers
from tests.render.gallery.issues import paper


def test_a_paper_is_stored_with_all_its_fields(store: Store):
    whole = paper(1, comment="9 pages", journal_ref="Phys. Rev. D 1", doi="10.1103/PhysRevD.1")
    with store.begin() as tx:
        papers.keep(tx, [whole, paper(2)])
    with store.read() as tx:
        assert list(papers.by_ids(tx, ["2509.00001", "2509.00002"])) == [whole, paper(2)]


def test_papers_come_in_the_order_asked_for(store: Store):
    with store.begin() as tx:
        papers.keep(tx, [paper(number) for number in (1, 2, 3)])
    asked = ["2509.00003", "2509.00009", "2509.00001", "2509.00002"]
    with store.read() as tx:
        found = [one.id for one in papers.by_ids(tx, asked)]
    assert found == ["2509.00003", "2509.00001", "2509.00002"]
