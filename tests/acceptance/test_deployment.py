"""The example settings, systemd units, Dockerfile and compose file match the program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from newsletter.cli.app import app
from newsletter.settings import Settings
from newsletter.web.webhooks import MAX_MAIL_BYTES
from tests.fakes.answers import Answers

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy").glob("*.service")) + sorted((ROOT / "deploy").glob("*.timer"))
OURS = "/opt/newsletter/.venv/bin/newsletter"
FOR_COMPOSE = {"POSTGRES_PASSWORD"}
FOR_LIBRARIES = {"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"}


def setting_names() -> set[str]:
    fields = Settings.model_fields.items()
    return {str(f.validation_alias or f"NEWSLETTER_{n}").upper() for n, f in fields}


def example() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^#([A-Z_]+)=(.*)$", text, re.MULTILINE))


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def commands() -> set[str]:
    made = typer.main.get_command(app)
    return set(made.list_commands(None))  # type: ignore[attr-defined, arg-type] # it is a group


def test_env_example_names_every_setting_once():
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(example()) == setting_names() | FOR_COMPOSE | FOR_LIBRARIES
    assert len(re.findall(r"^#[A-Z_]+=", text, re.MULTILINE)) == len(example())


def test_env_example_is_valid_when_uncommented(tmp_path):
    filled = {name: value for name, value in example().items() if value}
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in filled.items()))
    settings = Settings(_env_file=file)
    assert settings.from_email == "digest@example.org"


def test_compose_services_run_existing_commands():
    services = compose()["services"]
    ours = {name: one for name, one in services.items() if one["image"] == "arxiv-newsletter"}
    assert {"migrate", "serve", "worker-1", "worker-2", "worker-3"} == set(ours)
    assert {one["command"][0] for one in ours.values()} <= commands()
    asked = {name for one in ours.values() for name in one["environment"] if "NEWSLETTER" in name}
    assert asked <= setting_names()


def test_workers_have_unique_ids_and_need_the_scale_profile():
    services = compose()["services"]
    workers = [one for name, one in services.items() if name.startswith("worker")]
    names = [one["command"][one["command"].index("--id") + 1] for one in workers]
    assert len(set(names)) == len(names) == 3
    assert all(one["profiles"] == ["scale"] for one in workers)
    assert services["prometheus"]["profiles"] == ["monitoring"]
    assert "profiles" not in services["serve"]


def test_ports_are_loopback_only_and_roots_read_only():
    for name, one in compose()["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", [])), name
        if one["image"] == "arxiv-newsletter":
            assert one["read_only"]
            assert one["cap_drop"] == ["ALL"]


def test_prometheus_scrapes_existing_services():
    text = (ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["scrape_configs"]
    asked = {
        t.split(":")[0] for job in jobs for one in job["static_configs"] for t in one["targets"]
    }
    assert asked <= set(compose()["services"])


def test_dockerignore_admits_what_the_image_copies():
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    lock = re.search(r"LOCK:-([\w.-]+)", (ROOT / "compose.yaml").read_text())
    assert lock
    for path in {*copied, lock[1]} - {"${LOCK}"}:
        assert f"!{path}" in let_in.splitlines()
        assert (ROOT / path).exists()


def test_units_run_existing_commands():
    run = [
        words
        for unit in UNITS
        for words in re.findall(rf"{re.escape(OURS)} (\w+)", unit.read_text(encoding="utf-8"))
    ]
    assert sorted(run) == ["db", "serve", "worker"]
    assert set(run) <= commands()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_every_line_of_the_units(tmp_path):
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace(OURS, "/bin/true")
        (tmp_path / unit.name.replace("@.", "@w1.")).write_text(text, encoding="utf-8")
    made = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", *made],  # noqa: S607 - wherever it is installed
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert not said


def test_the_image_serves_and_its_health_check_ignores_proxies():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert json.loads(re.search(r"^CMD (.*)$", text, re.MULTILINE)[1])[0] == "serve"
    check = json.loads(re.search(r"HEALTHCHECK .*? CMD (.*)$", text, re.MULTILINE)[1])
    assert "/healthz" in check[-1]
    with Answers({("GET", "/healthz"): 200}) as well, Answers({("GET", "/healthz"): 503}) as ill:
        for served, status in ((well, 0), (ill, 1)):
            port = served.url.rpartition(":")[2]
            asked = check[-1].replace("8000", port)
            environment = {"HTTP_PROXY": "http://127.0.0.1:9", "PATH": ""}
            done = subprocess.run(
                [sys.executable, "-c", asked], env=environment, check=False, timeout=3000
            )
            assert done.returncode == status


def test_compose_mounts_a_writable_folder_for_files():
    for name, one in compose()["services"].items():
        if one["image"] == "arxiv-newsletter":
            assert "./files:/app/files" in one["volumes"], name


def test_an_incomplete_environment_is_reported_and_created_again(tmp_path):
    """A Python that cannot make virtual environments, as Debian's without python3-venv."""
    made = tmp_path / "python"
    made.write_text(
        '#!/bin/sh\ncase "$*" in *ensurepip*) [ -e venv-is-there ] ;; '
        '*"-m venv --clear .venv"*) mkdir -p .venv/bin && touch .venv/bin/pip ;; esac\n'
    )
    made.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    words = ["make", ".venv/bin/pip", f"PYTHON={made}"]
    for ready in (False, True):
        if ready:
            (tmp_path / "venv-is-there").touch()
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=3000
        )
        assert (done.returncode == 0) is ready
        assert ("apt install python3-venv" in done.stdout) is not ready
    assert (tmp_path / ".venv" / "bin" / "pip").exists()


def test_subscribers_and_secrets_are_ignored_by_git():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/subscribers.csv", "files/", ".env"} <= {*ignored}


def test_the_documented_nginx_limit_admits_the_largest_webhook():
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    most = re.search(r"client_max_body_size (\d+)m;", text)
    assert most
    assert int(most[1]) * 2**20 >= MAX_MAIL_BYTES
