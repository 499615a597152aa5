"""A real `newsletter serve` is suspended in the middle of its mail, as a laptop's lid would do it.

After SIGCONT it must go on: every reader mailed once, nothing unknown, /readyz well again, and a
SIGTERM must end it with status 0.

    python -m tests.simulations.simulate_sleep [--seconds 70] [--readers 60]
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import urlopen
from uuid import uuid4

from sqlalchemy import func, select

from newsletter.domain.announcements import announcement, newest
from newsletter.domain.mail import Subscription
from newsletter.store import Store, subscriptions
from newsletter.store.tables import delivery, digest
from tests.fakes.arxiv import FakeArxiv, line, row
from tests.fakes.installation import Installation, sendgrid_environment
from tests.fakes.loopback import free_port
from tests.fakes.sendgrid import FakeSendGrid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]

RUBRIC = "---\ntitle: One\ncategories: [cs.LG]\n---\n\n## Criteria\n\n1. Anything\n"
PATIENCE = 300


def found(installation: Installation, readers: int) -> Store:
    """A database with readers whose hour came when arXiv announced."""
    (installation.rubrics / "one.md").write_text(RUBRIC, encoding="utf-8")
    store = Store(installation.environment["NEWSLETTER_DATABASE_URL"])
    store.migrate()
    now = datetime.now(UTC)
    hour = announcement(newest(now)).public_from.time()
    with store.begin() as tx:
        for number in range(readers):
            one = Subscription(uuid4().hex, f"reader{number}@example.org", "one", send_at=hour)
            subscriptions.insert_new(tx, one, now - timedelta(days=20))
    return store


@contextmanager
def serving(installation: Installation) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    command = [sys.executable, "-m", "newsletter", "serve", "--port", str(port)]
    with (
        (installation.folder / "log").open("wb") as log,
        subprocess.Popen(
            command, cwd=installation.folder, env=installation.environment, stderr=log
        ) as process,
    ):
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def status(url: str) -> int:
    """Of a page; 0 where nobody answers."""
    try:
        with urlopen(url, timeout=5) as reply:  # noqa: S310 - loopback
            return int(reply.status)
    except HTTPError as error:
        return error.code
    except (URLError, OSError):
        return 0


def wait_for(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not what() and time.monotonic() < until:
        time.sleep(0.1)
    return what()


def sleep_through(
    installation: Installation, post: FakeSendGrid, store: Store, seconds: int
) -> dict[str, object]:
    with serving(installation) as (process, url):
        begun = wait_for(lambda: len(post.messages) > 5)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        before, asleep = len(post.messages), status(f"{url}/readyz")
        time.sleep(seconds)
        during = len(post.messages) - before
        process.send_signal(signal.SIGCONT)
        woken = time.monotonic()
        ready = wait_for(lambda: status(f"{url}/readyz") == 200)
        ready_after = time.monotonic() - woken
        done = wait_for(lambda: not {"pending", "sending"} & states(store).keys())
        process.send_signal(signal.SIGTERM)
        ended = process.wait(90)
    with store.read() as tx:
        editions = tx.scalar(select(func.count()).select_from(digest))
    return {
        "mails before the sleep": before,
        "mails in the sleep": during,
        "readyz in the sleep": asleep,
        "ready again after seconds": round(ready_after, 1) if ready else None,
        "begun and done": begun and done,
        "states": states(store),
        "mailed": len(set(post.addresses)),
        "mailed twice": sum(number > 1 for number in Counter(post.addresses).values()),
        "editions": editions,
        "exit status": ended,
    }


def states(store: Store) -> dict[str, int]:
    query = select(delivery.c.state, func.count()).group_by(delivery.c.state)
    with store.read() as tx:
        return {str(state): number for state, number in tx.execute(query)}


def faults(figures: dict[str, object], readers: int) -> list[str]:
    wanted = {
        "begun and done": True,
        "states": {"accepted": readers},
        "mailed": readers,
        "mailed twice": 0,
        "editions": 1,
        "exit status": 0,
    }
    wrong = [f"{name}: {figures[name]}" for name, right in wanted.items() if figures[name] != right]
    return wrong + ["not ready again"] * (figures["ready again after seconds"] is None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=70)
    parser.add_argument("--readers", type=int, default=60)
    given = parser.parse_args()
    window = announcement(newest(datetime.now(UTC)))
    step = (window.end - window.start) / 9
    rows = [row(f"2511.{n:05d}", window.start + step * n, ["cs.LG"]) for n in range(1, 9)]
    feed = [line(each) for each in rows]
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeArxiv(rows, feed=lambda _names: feed) as arxiv,
        FakeSendGrid(delay=0.3) as post,
    ):
        installation = Installation(
            Path(folder),
            NEWSLETTER_ARXIV_API_URL=arxiv.url,
            NEWSLETTER_ARXIV_RSS_URL=arxiv.rss_url,
            NEWSLETTER_SCORER="local",
            **sendgrid_environment(post.url),
            PYTHONPATH=str(ROOT),
        )
        store = found(installation, given.readers)
        figures = sleep_through(installation, post, store, given.seconds)
        store.close()
        wrong = faults(figures, given.readers)
        print(json.dumps({**figures, "wrong": wrong}, indent=1))
        if wrong:
            print(
                (installation.folder / "log").read_text(encoding="utf-8")[-4000:], file=sys.stderr
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
