"""Other programs that read arXiv with a model, beside ours, over the same day and the same answers.

ArxivDigest (github.com/AutoLLM/ArxivDigest) and the program of the reference digests
(github.com/DaizeDong/ChatGPT-ArXiv-Paper-Assistant) run unchanged, each with its own requirements,
with the criteria of the reference's rubric, against a stand-in of OpenAI's chat completions over
TLS. Ours reads the same papers against the stand-in of the Messages API. Tokens are counted by one
function and cost the same everywhere; what is cached is cheaper. Nobody's model is judged: the
answers come from the day's labels.

    python -m bench rivals [--arxivdigest FOLDER PYTHON] [--assistant FOLDER PYTHON]

FOLDER is a checkout of the program, which is written to; PYTHON has its requirements.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import yaml

from bench.harness import corpus
from bench.harness.report import arguments, print_table
from bench.harness.tls import Certificate, new_certificate
from bench.scenarios.daily_run import ROOT
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_money import RATES, tokens
from tests.fakes.arxiv import FakeArxiv, into_window, line
from tests.fakes.loopback import HttpHandler, Loopback
from tests.scoring.test_reference_digests import BELOW, plain, read_day, rubric_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DAY = "2025-09-23"
PAPERS = 548
MODEL = "claude-haiku-5-5"
ARXIV = "export.arxiv.org"
REASON = "It applies known methods to another task and meets none of the criteria."
"""For papers below the cut: both programs ask for a reason for every paper, ours does not."""
DROPPED = (0, 60)
"""Of a hundred papers below the cut, those that the assistant's filter by title drops unread."""
TO_LOOPBACK = """
import socket
real = socket.getaddrinfo
def getaddrinfo(host, port, *more, **named):
    if host == "{host}":
        host, port = "127.0.0.1", {port}
    return real(host, port, *more, **named)
socket.getaddrinfo = getaddrinfo
"""
"""`sitecustomize.py` of a program whose address of arXiv is fixed."""


LAUNCH = """
import json, os, subprocess, sys
with subprocess.Popen(sys.argv[2:]) as running:
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
with open(sys.argv[1], "w") as out:
    json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss], out)
sys.exit(running.returncode != 0)
"""
"""Linux counts what a process held before its `exec`: it has to begin in a small one."""


class Chat(Loopback):
    """OpenAI's chat completions, answered by a function of the user's message."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer = answer
        self.calls = self.tokens_in = self.tokens_out = 0
        self.read: set[str] = set()
        self.bind(_ChatHandler)


class _ChatHandler(HttpHandler):
    def post(self) -> None:
        chat: Chat = self.server.fake
        messages = json.loads(self.body())["messages"]
        said = chat.answer(messages[-1]["content"])
        used = sum(tokens(one["content"]) for one in messages), tokens(said)
        chat.calls += 1
        chat.tokens_in += used[0]
        chat.tokens_out += used[1]
        choice = {"index": 0, "finish_reason": "stop"}
        usage = {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}
        reply = {
            "id": "c",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{**choice, "message": {"role": "assistant", "content": said}}],
            "usage": usage | {"prompt_tokens_details": {"cached_tokens": 0}},
        }
        self.answer(200, json.dumps(reply).encode(), {"Content-Type": "application/json"})


class Day:
    """The papers of the day, and the labels that every answer is made of."""

    def __init__(self) -> None:
        rows, self.labels = read_day(DAY)
        # Those really announced on it first, as in the other benches.
        self.rows = sorted(rows, key=lambda row: (row["padding"], row["id"]))[:PAPERS]
        self.by_title = {plain(row["title"]): row for row in self.rows}
        self.by_id = {row["id"].rpartition("v")[0]: row for row in self.rows}

    def scores_of(self, title: str, _abstract: str = "") -> dict[str, Any]:
        label = self.labels.get(plain(title))
        if label is None:
            return BELOW
        return {"m": 0, "x": 0, "r": label["relevance"], "n": label["novelty"]} | {
            "c": label["comment"]
        }


def run(
    command: Sequence[str], folder: Path, env: Mapping[str, str], log: Path
) -> dict[str, float | int]:
    """Seconds and memory of a program that must succeed."""
    figures = log.with_suffix(".json")
    launch = [sys.executable, "-S", "-c", LAUNCH, str(figures), *command]
    began = time.perf_counter()
    with log.open("w") as out:
        done = subprocess.run(launch, cwd=folder, env=env, stdout=out, stderr=out, check=False)  # noqa: S603
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{command}: {log.read_text(encoding='utf-8')[-3000:]}")
    used, most = json.loads(figures.read_text(encoding="utf-8"))
    return {
        "s": round(took, 1),
        "s of processor": round(used, 2),
        "MB at most": round(most / 1024),
    }


def environment(python: str, folder: Path, certificate: Certificate) -> dict[str, str]:
    trusted = str(certificate.trusted)
    return {
        "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "SSL_CERT_FILE": trusted,
        "REQUESTS_CA_BUNDLE": trusted,
        "OPENAI_API_KEY": "sk-bench",
    }


def billed(chat: Chat, picked: int) -> dict[str, Any]:
    each_in, each_out, *_ = RATES[MODEL]
    return {
        "abstracts read": len(chat.read),
        "picked": picked,
        "calls": chat.calls,
        "tokens in": chat.tokens_in,
        "of which from the cache": 0,
        "tokens out": chat.tokens_out,
        "dollars": round((chat.tokens_in * each_in + chat.tokens_out * each_out) / 1e9, 4),
    }


def arxivdigest(
    day: Day, checkout: Path, python: str, folder: Path, certificate: Certificate
) -> dict[str, Any]:
    """The listing is given as the file that it keeps after a download; it mails nothing."""

    def answer(prompt: str) -> str:
        lines = []
        for number, title in re.findall(r"^(\d+)\. Title: (.*)$", prompt, re.MULTILINE):
            found = day.scores_of(title)
            chat.read.add(plain(title))
            said = {"Relevancy score": str(found["r"]), "Reasons for match": found["c"] or REASON}
            lines.append(f"{number}. {json.dumps(said)}".removeprefix("1. "))
        return "\n".join(lines)

    today = datetime.now(ZoneInfo("America/New_York")).strftime("%a, %d %b %y")
    listing = [
        {
            "title": plain(row["title"]),
            "authors": ", ".join(row["authors"]),
            "subjects": "Machine Learning (cs.LG)",
            "abstract": plain(row["abstract"]),
            "main_page": f"https://arxiv.org/abs/{row['id']}",
        }
        for row in day.rows
    ]
    (checkout / "data").mkdir(exist_ok=True)
    kept = checkout / "data" / f"cs_{today}.jsonl"
    kept.write_text("".join(f"{json.dumps(one)}\n" for one in listing), encoding="utf-8")
    given = {"topic": "Computer Science", "categories": [], "threshold": 7, "interest": criteria()}
    (checkout / "bench.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    with Chat(answer) as chat:
        chat.speak_tls(certificate.server_context())
        env = environment(python, folder, certificate) | {"OPENAI_API_BASE": f"{chat.url}/v1"}
        command = [python, "src/action.py", "--config", "bench.yaml"]
        used = run(command, checkout, env, folder / "arxivdigest.log")
    page = (checkout / "digest.html").read_text(encoding="utf-8")
    return billed(chat, page.count("Title: <a")) | used


def assistant(
    day: Day, checkout: Path, python: str, folder: Path, certificate: Certificate, dropped: int
) -> dict[str, Any]:
    """It reads the feed of cs.LG; the filter by title drops that share of those below the cut."""

    def answer(prompt: str) -> str:
        ids = re.findall(r"^ArXiv ID: (\S+)$", prompt, re.MULTILINE)
        if "\nAbstract: " not in prompt:
            below = [one for one in ids if day.scores_of(day.by_id[one]["title"]) is BELOW]
            return json.dumps([one for one in below if zlib.crc32(one.encode()) % 100 < dropped])
        chat.read.update(ids)
        return "\n".join(
            json.dumps(_topics(one, day.scores_of(day.by_id[one]["title"]))) for one in ids
        )

    config = (checkout / "configs" / "config.ini").read_text(encoding="utf-8")
    for name, value in (
        ("arxiv_category", "cs.LG"),
        ("relevance_cutoff", 7),
        ("novelty_cutoff", 7),
    ):
        config = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", config)
    (checkout / "configs" / "config.ini").write_text(config, encoding="utf-8")
    (checkout / "prompts" / "paper" / "paper_topics.txt").write_text(criteria(), encoding="utf-8")
    with FakeArxiv(feed=lambda _categories: [line(row) for row in day.rows]) as arxiv:
        arxiv.speak_tls(certificate.server_context())
        patch = folder / "site"
        patch.mkdir(exist_ok=True)
        words = TO_LOOPBACK.format(host=ARXIV, port=arxiv.port)
        (patch / "sitecustomize.py").write_text(words, encoding="utf-8")
        with Chat(answer) as chat:
            chat.speak_tls(certificate.server_context())
            env = environment(python, folder, certificate)
            env |= {"OPENAI_BASE_URL": f"{chat.url}/v1", "PYTHONPATH": f"{patch}:{checkout}"}
            used = run([python, "main.py"], checkout, env, folder / "assistant.log")
    pages = sorted((checkout / "out" / "json").rglob("*output.json"))
    return billed(chat, len(json.loads(pages[-1].read_text(encoding="utf-8")))) | used


def _topics(arxiv_id: str, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "ARXIVID": arxiv_id,
        "COMMENT": found["c"] or REASON,
        "RELEVANCE": found["r"],
        "NOVELTY": found["n"],
        "PRIMARY_TOPIC_ID": "model_architecture",
        "MATCHED_TOPIC_IDS": [],
        "TOPIC_MATCH_COMMENT": "The method is its main subject.",
        "HOTSPOT_PAPER_TAGS": [],
        "HOTSPOT_PAPER_COMMENT": "",
    }


def ours(day: Day, folder: Path, certificate: Certificate) -> dict[str, Any]:
    """`newsletter run` for one reader, mail into files, budget and second reading as they come."""
    home = folder / "ours"
    (home / "rubrics").mkdir(parents=True)
    text = rubric_file("rubric-2025-09-23.md", "cs.LG, cs.AI", 7, 7)
    (home / "rubrics" / "reference.md").write_text(text, encoding="utf-8")
    (home / "readers.csv").write_text("email,rubric\nada@example.org,reference\n", encoding="utf-8")
    rows = into_window(day.rows, date.fromisoformat(DAY))
    with FakeArxiv(rows) as arxiv, FakeAnthropic(day.scores_of) as model:
        for one in (arxiv, model):
            one.speak_tls(certificate.server_context())
        env = environment(sys.executable, home, certificate) | {
            "PYTHONPATH": str(ROOT),
            "NEWSLETTER_DATABASE_URL": f"sqlite:///{home}/newsletter.db",
            "NEWSLETTER_RUBRICS_DIR": str(home / "rubrics"),
            "NEWSLETTER_ARXIV_API_URL": arxiv.url,
            "NEWSLETTER_ARXIV_RSS_URL": arxiv.rss_url,
            "NEWSLETTER_ARXIV_DELAY_SECONDS": "0",
            "ANTHROPIC_API_KEY": "sk-bench",
            "ANTHROPIC_BASE_URL": model.url,
        }
        program = [sys.executable, "-m", "newsletter"]
        log = folder / "ours.log"
        run([*program, "migrate"], home, env, log)
        run([*program, "subscribers", "import", "readers.csv", "--consent", "x"], home, env, log)
        used = run([*program, "run", "--date", DAY, "--json"], home, env, log)
        kinds = model.till.kinds
        said = log.read_text(encoding="utf-8")
        # Before the figures stands what goes to standard error.
        [issue] = json.loads(said[re.search(r"^\{", said, re.MULTILINE).start() :])["issues"]
    cached = kinds["cache_read_input_tokens"]
    return {
        "abstracts read": issue["scanned"],
        "picked": issue["picked"],
        "calls": len(model.requests),
        "tokens in": kinds["input_tokens"] + kinds["cache_creation_input_tokens"] + cached,
        "of which from the cache": cached,
        "tokens out": kinds["output_tokens"],
        "dollars": round(model.bill_nanos / 1e9, 4),
        **used,
    }


def criteria() -> str:
    """The reference's criteria, as its prompt has them."""
    text = (corpus.CORPUS / "rubric-2025-09-23.md").read_text(encoding="utf-8")
    return f"## Relevant Topics{text.split('## Relevant Topics', 1)[1]}"


def main() -> None:
    parser = arguments(__doc__)
    for name in ("arxivdigest", "assistant"):
        parser.add_argument(f"--{name}", nargs=2, metavar=("FOLDER", "PYTHON"))
    given = parser.parse_args()
    corpus.require()
    day = Day()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate = new_certificate(folder, ARXIV)
        found = {"ours": ours(day, folder, certificate)}
        if given.arxivdigest:
            checkout, python = given.arxivdigest
            found["ArxivDigest"] = arxivdigest(
                day, Path(checkout).absolute(), python, folder, certificate
            )
        for dropped in DROPPED if given.assistant else ():
            checkout, python = given.assistant
            found[f"the reference's, {dropped} % dropped by title"] = assistant(
                day, Path(checkout).absolute(), python, folder, certificate, dropped
            )
    for one in found.values():
        per = one["abstracts read"]
        one["ms of processor an abstract"] = round(1000 * one["s of processor"] / per, 1)
        one["dollars for 100 abstracts"] = round(100 * one["dollars"] / per, 4)
    names = list(next(iter(found.values())))
    rows = [[name, *(one[name] for one in found.values())] for name in names]
    print(f"{len(day.rows)} papers of {DAY}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print_table(["", *found], rows)
