"""Files and reader rubrics together: every process sees the same, and one fault stays one fault."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, update

from newsletter.domain.reader_rubrics import NAME_REFUSED, PausedBy
from newsletter.domain.shared_settings import differences
from newsletter.operations.shared_settings import SharedSettings
from newsletter.rubrics.folder import RubricFolder, faults_of, of_operator, why_missing
from newsletter.store import reader_rubrics
from newsletter.store.tables import reader_rubric_version
from tests.fakes.mail import LINKS, settings
from tests.fakes.reader_rubrics import add_reader, catalog_of, save_rubric, text

if TYPE_CHECKING:
    from pathlib import Path

    from newsletter.rubrics.catalog import RubricCatalog
    from newsletter.store import Store

NOW = datetime(2025, 9, 23, 6, 0, tzinfo=UTC)
ANN = f"{1:032x}"
TEXT = text("Models").replace("title: Models", "title: My stars")


def saved(store: Store) -> str:
    return save_rubric(store, ANN, TEXT)


@pytest.fixture
def catalog(store: Store, tmp_path: Path) -> RubricCatalog:
    assert add_reader(store, 1) == ANN
    return catalog_of(store, tmp_path / "rubrics", "Models")


def test_reader_rubrics_follow_the_files_and_are_never_public(
    store: Store, catalog: RubricCatalog
) -> None:
    assert list(catalog) == ["models"]
    slug = saved(store)
    catalog.reread()
    assert list(catalog) == ["models", slug]
    assert catalog["models"].public
    assert not catalog[slug].public
    assert catalog[slug].fingerprint == catalog["models"].fingerprint
    assert list(of_operator(catalog)) == ["models"]
    assert [one.slug for one in catalog.values()] == ["models", slug]


def test_pause_and_delete_take_a_rubric_out(store: Store, catalog: RubricCatalog) -> None:
    slug = saved(store)
    for change in (reader_rubrics.pause, reader_rubrics.resume):
        with store.begin() as tx:
            assert change(tx, slug, PausedBy.OPERATOR, NOW)
        catalog.reread()
        assert (slug in catalog) == (change is reader_rubrics.resume)
    with store.begin() as tx:
        reader_rubrics.delete(tx, slug, NOW)
    catalog.reread()
    assert slug not in catalog
    assert slug in why_missing(catalog, slug)


def test_a_new_version_is_read_and_an_unchanged_one_is_not(
    store: Store, catalog: RubricCatalog
) -> None:
    kept, changed = saved(store), saved(store)
    catalog.reread()
    before = catalog[kept]
    statements: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    catalog.reread()
    assert [one for one in statements if one != "BEGIN"] == [
        "SELECT reader_rubric_change.number \nFROM reader_rubric_change"
    ]
    with store.begin() as tx:
        reader_rubrics.save_draft(tx, changed, TEXT.replace("My stars", "Other stars"), NOW)
        version = reader_rubrics.submit(tx, changed, NOW)
        catalog.reread()
        assert catalog[changed].title == "My stars", "not before it is confirmed"
        assert version is not None
        reader_rubrics.confirm(tx, changed, version, NOW)
    catalog.reread()
    assert catalog[changed].title == "Other stars"
    assert catalog[kept] is before


def test_a_broken_text_is_a_fault_of_its_rubric_alone(store: Store, catalog: RubricCatalog) -> None:
    bad, good = saved(store), saved(store)
    with store.begin() as tx:
        mine = reader_rubric_version.c.slug == bad
        tx.execute(update(reader_rubric_version).where(mine).values(text="no rubric at all"))
    catalog.reread()
    assert set(catalog) == {"models", good}
    assert set(faults_of(catalog)) == {bad}
    assert not faults_of(of_operator(catalog))
    assert "front matter" in why_missing(catalog, bad)


def test_a_file_with_the_name_of_a_reader_rubric_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "own-abcdefghijkl.md").write_text(TEXT, encoding="utf-8")
    folder = RubricFolder(tmp_path)
    assert not folder
    assert NAME_REFUSED in why_missing(folder, "own-abcdefghijkl")


def test_processes_compare_the_files_alone(store: Store, catalog: RubricCatalog) -> None:
    saved(store)
    catalog.reread()
    own = SharedSettings(settings(reader_rubrics=3), LINKS, "local/1", catalog)
    marks = own._fingerprints(bytes(16))
    assert [name for name in marks if name.startswith("rubric ")] == ["rubric models"]
    off = SharedSettings(settings(), LINKS, "local/1", catalog)._fingerprints(bytes(16))
    assert differences(marks, off) == ["NEWSLETTER_READER_RUBRICS"]


def test_two_processes_see_the_same(store: Store, catalog: RubricCatalog, tmp_path: Path) -> None:
    other = catalog_of(store, tmp_path / "rubrics")
    slug = saved(store)
    for process in (catalog, other):
        process.reread()
    assert dict(other) == dict(catalog)
    with store.begin() as tx:
        reader_rubrics.delete(tx, slug, NOW)
        saved_again = reader_rubrics.create(tx, ANN, TEXT, NOW, limit=1)
        reader_rubrics.submit(tx, saved_again, NOW)
        reader_rubrics.confirm(tx, saved_again, 1, NOW)
    other.reread()
    assert set(other) == {"models", saved_again}
