"""An application context for tests: what a test does not name is a fake, or absent."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from newsletter.context import App
from newsletter.jobs.engine import LocalEngine
from newsletter.render import Renderer, SiteInfo
from newsletter.settings import Settings
from tests.fakes.mail import LINKS, SENDER, START, FakeMailer

if TYPE_CHECKING:
    from newsletter.store import Store

SITE = SiteInfo("arXiv digest", "Example Lab, 1 Street", "https://digest.example.org")
# Compiling the mail templates takes a while: once is enough for all tests.
RENDERER = Renderer(SITE)


@functools.cache
def default_settings() -> Settings:
    """Read once: it takes a millisecond, and they cannot change."""
    return Settings(_env_file=None)


def app_of(store: Store, **given: Any) -> App:
    """An App on `store`. It has no source and no scorer: a test that asks either one fails."""
    parts: dict[str, Any] = {
        "source": None,
        "scorer": None,
        "mailer": FakeMailer(),
        "renderer": RENDERER,
        "links": LINKS,
        "sender": SENDER,
        "rubrics": {},
        "settings": default_settings(),
        "clock": lambda: START,
        "engine": LocalEngine(),
    }
    return App(store=store, **{**parts, **given})
