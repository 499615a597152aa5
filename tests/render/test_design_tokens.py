"""Pages and mail share one set of colours, types and spaces: `templates/tokens.css`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from newsletter.render.templates import (
    DECLARED,
    TOKENS,
    USED,
    design_tokens,
    shared_templates,
    template_folder,
    with_values,
)

if TYPE_CHECKING:
    from pathlib import Path

COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b")
SHEETS = [
    *template_folder("web").glob("*.css"),
    *template_folder("email").rglob("*.css"),
    *template_folder("email").rglob("*.mjml"),
]


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda one: f"{one.parent.name}/{one.name}")
def test_a_sheet_names_tokens_and_no_colour_of_its_own(sheet: Path) -> None:
    text = sheet.read_text(encoding="utf-8")
    assert COLOUR.findall(text) == []
    assert set(USED.findall(text)) <= set(design_tokens())


def test_every_colour_has_a_value_for_the_dark() -> None:
    light, _, dark = TOKENS.read_text(encoding="utf-8").partition("@media")
    colours = {name for name, value in DECLARED.findall(light) if value.startswith("#")}
    assert colours == {name for name, _ in DECLARED.findall(dark)}
    used = {
        name
        for sheet in [*SHEETS, *template_folder("web").glob("*.html")]
        for name in USED.findall(sheet.read_text(encoding="utf-8"))
    }
    unused = {name for name in colours if not {name, f"dark-{name}"} & used}
    assert unused == set()


def test_mail_has_values_in_pixels() -> None:
    for name in ("digest", "confirm"):
        source = shared_templates().mjml(name)
        assert "var(" not in source
        assert not re.search(r"[0-9]rem\b", source)
    given = "padding: var(--gutter); color: var(--accent)"
    assert with_values(given) == "padding: 36px; color: #1d4f91"
    assert with_values("color: var(--dark-accent)") == "color: #93bdf5"
    with pytest.raises(KeyError):
        with_values("color: var(--pink)")
