from __future__ import annotations

from pathlib import Path

from tests.docs.settings_page import page

ROOT = Path(__file__).parents[2]


def test_docs_settings_is_what_settings_say():
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert written == page(), "run: make docs-settings"
