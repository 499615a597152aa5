"""The demo: two mails, the archive as files, and no link that leads nowhere."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from lxml import etree, html

from tests.fakes.installation import CommandResult, Installation

if TYPE_CHECKING:
    from pathlib import Path

REAL = {"info.arxiv.org", "arxiv.org"}
"""Hosts of general pages that exist; papers of the sample are on none of them."""


class Demo:
    def __init__(self, folder: Path, *options: str) -> None:
        installation = Installation(folder)
        self.result: CommandResult = installation.newsletter("demo", *options)
        self.out = folder / "demo-out"

    def page(self, name: str) -> BeautifulSoup:
        return BeautifulSoup((self.out / name).read_text(encoding="utf-8"), "html.parser")

    def text(self, name: str) -> str:
        return " ".join(self.page(name).get_text(" ").split())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("local"), "--local")


def links_of(file: Path) -> list[str]:
    parse = etree.parse if file.suffix == ".xml" else html.parse
    return [
        str(value)
        for tag in parse(str(file)).iter()
        for name, value in tag.items()
        if name in {"href", "src", "action"}
    ]


def leads_nowhere(file: Path, link: str, out: Path) -> bool:
    parts = urlsplit(link)
    if parts.scheme == "data":
        return False
    if parts.scheme or parts.netloc:
        return parts.scheme != "https" or parts.hostname not in REAL or "2511." in link
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_file() or not target.is_relative_to(out):
        return True
    if not parts.fragment:
        return False
    return parts.fragment not in targets_in(target)


@functools.cache
def targets_in(file: Path) -> frozenset[str]:
    """What a link's fragment may name in a page."""
    page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
    named = page.find_all(lambda tag: tag.has_attr("id") or tag.has_attr("name"))
    return frozenset(str(tag[key]) for tag in named for key in ("id", "name") if tag.has_attr(key))


@pytest.mark.parametrize("which", ["demo", "local"])
def test_no_link_leads_nowhere(which: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(which).out
    files = [path for path in out.rglob("*") if path.suffix in {".html", ".xml"}]
    links = {(file, link) for file in files for link in links_of(file)}
    broken = {(str(f.relative_to(out)), link) for f, link in links if leads_nowhere(f, link, out)}
    assert len(files) > 15
    assert not broken


def test_every_page_is_reached_from_the_index(demo: Demo) -> None:
    index = demo.out / "index.html"
    waiting, seen = [index], {index}
    while waiting:
        file = waiting.pop()
        if file.suffix not in {".html", ".xml"}:
            continue
        for link in links_of(file):
            path = urlsplit(link).path
            target = (file.parent / unquote(path)).resolve()
            if path and not urlsplit(link).scheme and target not in seen:
                seen.add(target)
                waiting.append(target)
    assert {path for path in demo.out.rglob("*") if path.is_file()} == seen


def test_mail_and_page_show_scores_reasons_and_near_misses_as_a_sample(demo: Demo) -> None:
    issue = next(demo.out.glob("web/archive/foundation-models/2025-11-18/index.html"))
    for name in ("mail/ada.html", str(issue.relative_to(demo.out))):
        said = demo.text(name)
        assert "arXiv digest (sample)" in said
        assert said.count("A sample: these papers are invented") == 1
        assert "Estimate: tokens and cost if claude-haiku-5-5 had read these papers" in said
        assert "are samples, written by hand" in said
        assert "author (" not in said
        assert "Chooses among all roundings" in said
        assert "Relevance 7/10, Novelty 6/10" in said
        assert "Near misses" in said
    assert "subscribed on 19 October 2025" in demo.text("mail/ada.html")
    index = demo.page("index.html")
    assert "14 of 28 new papers reached the cut-offs" in demo.text("index.html")
    assert len(index.find_all("iframe")) == 4
    assert "Why it matched" in index.find_all("pre")[0].get_text()


def test_the_second_reader_has_a_quiet_day(demo: Demo) -> None:
    said = demo.text("mail/henrietta.html")
    assert "Knitting Robots Into Cloth" in said
    assert "Relevance 6/10, Novelty 9/10" in said
    assert (
        "Henrietta (“Robots that learn to walk”): a quiet day, with the nearest misses"
        in demo.text("index.html")
    )


def test_each_mail_and_page_tells_news_of_an_earlier_issue(demo: Demo, local: Demo) -> None:
    for one in (demo, local):
        for name in ("mail/ada.html", "web/archive/foundation-models/2025-11-18/index.html"):
            said = one.text(name)
            for words in ("Withdrawn", "New title", "Published", "Accepted at the Invented"):
                assert words in said.partition("previous issue")[2], (name, words)
        assert "Invented Letters on Robots" in one.text("mail/henrietta.html")
    assert (demo.out / "web/archive/foundation-models/2025-11-04/index.html").is_file()
    feed = (demo.out / "web/archive/foundation-models/feed.xml").read_text(encoding="utf-8")
    assert "Lottery Routing: Mixtures of Experts" in feed


def test_the_table_says_sample_and_the_last_lines_are_the_next_commands(demo: Demo) -> None:
    assert demo.result.status == 0, demo.result.err
    lines = demo.result.out.strip().splitlines()
    assert any("invented papers, scores and reasons written by hand" in line for line in lines)
    commands = [line.partition("#")[0].split("newsletter ")[1].strip() for line in lines[-3:]]
    assert commands == ["demo --local", "init", "run --dry-run"]


def test_the_local_demo_gives_no_score_and_says_so(local: Demo) -> None:
    assert local.result.status == 0, local.result.err
    assert "ranked by words, no scores" in local.result.out
    for name in ("mail/ada.html", "mail/henrietta.html"):
        said = local.text(name).lower()
        assert "ranked locally, not read by a model" in said
        assert "a sample: these papers are invented." in said
        assert "written by hand" not in said
        assert "about five of the ten closest papers (two to eight) were" in said
    assert "no scores, no reasons and no cut-offs" in local.text("index.html")


def test_a_second_demo_writes_the_same_files(demo: Demo, tmp_path: Path) -> None:
    again = Demo(tmp_path)
    names = [{p.relative_to(one.out) for p in one.out.rglob("*")} for one in (demo, again)]
    assert names[0] == names[1]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo-out").write_text("a file")
    failed = Demo(tmp_path)
    assert failed.result.status == 1
    assert "--out" in failed.result.err
