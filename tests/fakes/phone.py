"""A phone without JavaScript at a served site; each step may leave a picture to look at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fakes.chromium import Tab

PICTURES = os.environ.get("NEWSLETTER_TEST_PICTURES", "")
"""A folder for a picture of each step."""
PUBLIC = "http://127.0.0.1"


class Phone:
    """No page may be wider than the screen."""

    def __init__(self, port: int, tab: Tab) -> None:
        self.tab, self.home, self.steps = tab, f"{PUBLIC}:{port}", 0
        tab.look(375)
        tab.forbid_scripts()

    def open(self, url: str, step: str = "") -> None:
        self.tab.open(self.home + url.removeprefix(PUBLIC))
        self.seen(step)

    def press(self, selector: str, step: str = "") -> None:
        self.tab.press(selector)
        self.seen(step)

    def seen(self, step: str) -> None:
        assert self.tab.too_wide == 0
        self.steps += 1
        if PICTURES and step:
            picture = Path(PICTURES) / f"{self.steps:02d}-{step}.png"
            picture.write_bytes(self.tab.picture())
