"""Memory of a real `newsletter serve` while many connections send a large mail to a wrong secret.

    python -m bench large_posts [--connections 50] [--megabytes 38]

Each connection sends its whole body, as fast as it is taken, whatever was answered meanwhile. Ends
with status 1 when the process grew by 40 MB or more, or when /healthz took over a second.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from bench.harness.report import arguments

ROOT = Path(__file__).parents[2]
ALLOWED = 40 * 2**20
PIECE = b"x" * 65536


def resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def post(port: int, size: int) -> None:
    head = (
        "POST /hooks/sendgrid/inbound/wrong HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {size}\r\n\r\n"
    )
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 60) as line:
        line.sendall(head.encode())
        for _ in range(size // len(PIECE)):
            line.sendall(PIECE)


def asked(port: int) -> float:
    """Seconds until /healthz answered."""
    begun = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
        answer.read()
    return time.monotonic() - begun


def started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "NEWSLETTER_DATABASE_URL": f"sqlite:///{folder / 'n.db'}",
        "NEWSLETTER_RUBRICS_DIR": str(ROOT / "templates" / "rubrics"),
        "NEWSLETTER_SOURCE": "sample",
        "NEWSLETTER_INBOUND_SECRET": "right" * 5,
        "NEWSLETTER_SECRET_KEY": "k" * 32,
    }
    words = [sys.executable, "-m", "newsletter", "serve", "--no-schedule", "--port", str(port)]
    process = subprocess.Popen(words, cwd=folder, env=environment)  # noqa: S603 - our own words
    for _ in range(300):
        with suppress(OSError):
            asked(port)
            return process
        time.sleep(0.1)
    process.kill()
    message = "serve did not start"
    raise SystemExit(message)


def main() -> int:
    words = arguments(__doc__)
    words.add_argument("--connections", type=int, default=50)
    words.add_argument("--megabytes", type=int, default=38)
    given = words.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = started(Path(folder), port)
        try:
            before = most = resident(process.pid)
            size = given.megabytes * 10**6
            posts = [
                threading.Thread(target=post, args=(port, size)) for _ in range(given.connections)
            ]
            for one in posts:
                one.start()
            slowest = 0.0
            while any(one.is_alive() for one in posts):
                slowest = max(slowest, asked(port))
                most = max(most, resident(process.pid))
                time.sleep(0.02)
        finally:
            process.terminate()
            process.wait()
    grown = most - before
    print(
        f"{given.connections} posts of {given.megabytes} MB to a wrong secret: serve grew from "
        f"{before / 2**20:.0f} to {most / 2**20:.0f} MB; /healthz took {slowest:.2f} s at most"
    )
    return int(grown >= ALLOWED or slowest > 1)
