"""Settings are read once and typed; a wrong one is named, and no secret is shown."""

from __future__ import annotations

import os
import sys
from datetime import time
from decimal import Decimal
from pathlib import Path

import pytest

from newsletter.files.env_file import misspelt
from newsletter.settings import (
    ENV_FILE,
    Settings,
    SettingsError,
    dbos_faults,
    read_settings,
    require_mail_settings,
    setting_warnings,
    variables,
)


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"NEWSLETTER_{name.upper()}", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)
    monkeypatch.delenv("SENDGRID_API_KEY", raising=False)


def test_without_keys_everything_stays_on_this_machine():
    settings = read_settings()
    assert settings.scorer_name == "local"
    assert settings.mailer_name == "outbox"
    assert settings.send_at == time(7, 0)
    assert settings.budget_usd == Decimal("0.15")


def test_a_key_chooses_the_real_thing(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-one")
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.two")
    settings = read_settings()
    assert (settings.scorer_name, settings.mailer_name) == ("claude", "sendgrid")


def test_env_file_is_read_and_the_environment_wins(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("NEWSLETTER_TIMEZONE=Europe/Berlin\nNEWSLETTER_SEND_AT=06:30\n")
    monkeypatch.setenv("NEWSLETTER_SEND_AT", "05:15")
    settings = read_settings()
    assert (settings.timezone, settings.send_at) == ("Europe/Berlin", time(5, 15))


def test_proxies_and_authorities_may_stand_in_the_env_file(monkeypatch, tmp_path):
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("no_proxy", "here.example.org")
    lines = ["HTTPS_PROXY=http://proxy:3128", "NO_PROXY=x", f"SSL_CERT_FILE={tmp_path / 'ca'}"]
    (tmp_path / ".env").write_text("\n".join(lines))
    read_settings()
    assert os.environ["HTTPS_PROXY"] == "http://proxy:3128"
    assert os.environ["SSL_CERT_FILE"] == str(tmp_path / "ca")
    assert os.environ["NO_PROXY"] == ""
    assert os.environ["no_proxy"] == "here.example.org"


def test_env_file_may_hold_what_others_read(tmp_path):
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=x\nNEWSLETTER_TIMEZONE=Asia/Tokyo\n")
    assert read_settings().timezone == "Asia/Tokyo"


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "key").write_text("sk-from-file\n")
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(tmp_path / "key"))
    assert read_settings().anthropic_api_key.get_secret_value() == "sk-from-file"


def test_a_secret_file_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("SENDGRID_API_KEY_FILE", "nowhere")
    with pytest.raises(SettingsError, match="SENDGRID_API_KEY_FILE: cannot read nowhere"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NEWSLETTER_BUDGET_USD", "a lot", "dollars per rubric and day"),
        ("NEWSLETTER_BUDGET_USD", "-1", "dollars per rubric and day"),
        ("NEWSLETTER_MAILER", "pigeon", "outbox, smtp or sendgrid"),
        ("NEWSLETTER_TIMEZONE", "Mars/Olympus", "zone name like Europe/Berlin"),
        ("NEWSLETTER_SEND_AT", "7am", "a time of day like 07:00"),
        ("NEWSLETTER_SEND_AT", "25200", "a time of day like 07:00"),
        ("NEWSLETTER_PUBLIC_URL", "example.org", "address of the web pages"),
        ("NEWSLETTER_FROM_EMAIL", "me@nowhere", "an address of your sending domain"),
        ("NEWSLETTER_SECRET_KEY", "short", "32 or more random letters"),
        ("NEWSLETTER_ARXIV_DELAY_SECONDS", "-3", "arXiv asks for 3"),
        ("ANTHROPIC_BASE_URL", "ftp://x", "use an http(s) address"),
        ("ANTHROPIC_API_KEY", "sk-ant-x\u200b", "copy it again"),
        ("SENDGRID_API_KEY", "SG.a\nb", "copy it again"),
        ("NEWSLETTER_DNS_SERVER", "24:00", "the IP address of a name server"),
        ("NEWSLETTER_DNS_SERVER", "300.1.1.1", "the IP address of a name server"),
        ("NEWSLETTER_DNS_SERVER", "127.0.0.1:99999", "the IP address of a name server"),
        ("NEWSLETTER_DNS_SERVER", ":53", "the IP address of a name server"),
    ],
)
def test_a_wrong_value_names_the_setting_and_the_fix(monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("value", ["", "9.9.9.9", "127.0.0.1:5353", "2620:fe::fe"])
def test_a_name_server_is_an_ip_address_and_may_have_a_port(monkeypatch, value):
    monkeypatch.setenv("NEWSLETTER_DNS_SERVER", value)
    assert read_settings().dns_server == value


def test_white_space_around_a_key_is_no_part_of_it(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", " sk-ant-x ")
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.x\n")
    settings = read_settings()
    assert settings.anthropic_api_key.get_secret_value() == "sk-ant-x"
    assert settings.sendgrid_api_key.get_secret_value() == "SG.x"


def test_a_wrong_value_never_shows_a_secret(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("NEWSLETTER_SECRET_KEY", "sk-2-short")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert "sk-" not in str(caught.value)
    monkeypatch.delenv("NEWSLETTER_SECRET_KEY")
    assert "sk-secret" not in repr(read_settings())
    assert "sk-secret" not in read_settings().model_dump_json()


def test_real_mail_is_refused_while_something_is_missing(monkeypatch):
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.x")
    with pytest.raises(SettingsError) as caught:
        require_mail_settings(read_settings())
    for name in ("FROM_EMAIL", "POSTAL_ADDRESS", "PUBLIC_URL", "SECRET_KEY"):
        assert f"NEWSLETTER_{name}" in str(caught.value)
    monkeypatch.setenv("NEWSLETTER_FROM_EMAIL", "digest@example.org")
    monkeypatch.setenv("NEWSLETTER_POSTAL_ADDRESS", "1 Example Street")
    with pytest.raises(SettingsError) as caught:
        require_mail_settings(read_settings())
    several = "NEWSLETTER_PUBLIC_URL, NEWSLETTER_SECRET_KEY are not set: mail by sendgrid needs"
    assert f"{several} them; set them, or" in str(caught.value)
    monkeypatch.setenv("NEWSLETTER_PUBLIC_URL", "https://digest.example.org/")
    with pytest.raises(SettingsError) as caught:
        require_mail_settings(read_settings())
    one = "NEWSLETTER_SECRET_KEY is not set: mail by sendgrid needs it; set it, or"
    assert one in str(caught.value)
    monkeypatch.setenv("NEWSLETTER_SECRET_KEY", "k" * 32)
    settings = read_settings()
    require_mail_settings(settings)
    assert settings.public_url == "https://digest.example.org"


def test_what_can_not_be_guessed_is_said_with_what_is_missing(monkeypatch):
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.x")
    monkeypatch.setenv("NEWSLETTER_FROM_EMAIL", "digest@example.org")
    monkeypatch.setenv("NEWSLETTER_POSTAL_ADDRESS", "1 Example Street")
    local = "http://localhost:8000 is an address that no reader can open"
    for url, said in ((None, False), ("http://localhost:8000", True)):
        if url:
            monkeypatch.setenv("NEWSLETTER_PUBLIC_URL", url)
        with pytest.raises(SettingsError, match="makes a key") as caught:
            require_mail_settings(read_settings())
        assert (local in str(caught.value)) is said


def test_mail_to_the_operator_alone_needs_no_public_url(monkeypatch):
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.x")
    monkeypatch.setenv("NEWSLETTER_OPERATOR_ONLY", "true")
    with pytest.raises(SettingsError) as caught:
        require_mail_settings(read_settings())
    for name in ("FROM_EMAIL", "OPERATOR_EMAIL", "SECRET_KEY"):
        assert f"NEWSLETTER_{name}" in str(caught.value)
        monkeypatch.setenv(f"NEWSLETTER_{name}", f"{name.lower()}-16-letters@example.org")
    assert "NEWSLETTER_PUBLIC_URL" not in str(caught.value)
    require_mail_settings(read_settings())


def test_mail_to_files_needs_nothing():
    require_mail_settings(read_settings())


def test_a_secret_file_may_be_named_in_env_file(tmp_path):
    (tmp_path / "key").write_text("SG.from-file\n")
    (tmp_path / ".env").write_text(f"SENDGRID_API_KEY_FILE={tmp_path / 'key'}\n")
    settings = read_settings()
    assert settings.sendgrid_api_key.get_secret_value() == "SG.from-file"
    assert settings.mailer_name == "sendgrid"


def test_the_environment_names_the_secret_file_that_counts(monkeypatch, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"SG.{name}\n")
    (tmp_path / ".env").write_text(f"SENDGRID_API_KEY_FILE={tmp_path / 'one'}\n")
    monkeypatch.setenv("SENDGRID_API_KEY_FILE", str(tmp_path / "two"))
    assert read_settings().sendgrid_api_key.get_secret_value() == "SG.two"
    monkeypatch.setenv("SENDGRID_API_KEY", "SG.three")
    assert read_settings().sendgrid_api_key.get_secret_value() == "SG.three"


def test_a_secret_file_of_env_file_that_is_not_there_is_named(tmp_path):
    (tmp_path / ".env").write_text("SENDGRID_API_KEY_FILE=nowhere\n")
    with pytest.raises(SettingsError, match="SENDGRID_API_KEY_FILE: cannot read nowhere"):
        read_settings()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'A=1\n\n\nSENDGRID_API_KEY="SG.secret\nB=2\n', ".env line 4: not readable"),
        (b"SENDGRID_API_KEY='SG.secret\n", ".env line 1: not readable"),
        (b"A=1\r\nNEWSLETTER_TIMEZONE SG.secret\r\n", ".env line 2: not readable"),
        (b"A=1\nNEWSLETTER_FROM_NAME=SG.secret \xe9\n", ".env: not UTF-8"),
    ],
    ids=["double", "single", "no-equals", "latin-1"],
)
def test_a_broken_env_file_is_refused_with_its_line(tmp_path, content, says):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert str(caught.value).startswith(says)
    assert "SG.secret" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_env_file_may_be_written_by_hand(tmp_path):
    lines = "\ufeff# a comment\n\nexport NEWSLETTER_TIMEZONE = 'Asia/Tokyo' # why\nEMPTY=\nBARE\n"
    (tmp_path / ".env").write_text(lines, encoding="utf-8")
    assert read_settings().timezone == "Asia/Tokyo"


@pytest.mark.parametrize("value", [",", " , ", " "])
def test_a_secret_key_without_any_key_is_refused(monkeypatch, value):
    monkeypatch.setenv("NEWSLETTER_SECRET_KEY", value)
    with pytest.raises(SettingsError, match="NEWSLETTER_SECRET_KEY: it holds no key"):
        read_settings()


@pytest.mark.parametrize(
    "value",
    [
        'https://x"><b>',
        "https://x/<b>",
        "https://x/a'b",
        "https://x/a\\b",
        "https://é.org",
        "https:// x",
        "http://[::1",
        "http://x:99999",
        "http://:80",
    ],
)
def test_a_web_address_holds_only_what_an_address_may(monkeypatch, value):
    monkeypatch.setenv("NEWSLETTER_PUBLIC_URL", value)
    with pytest.raises(SettingsError, match="NEWSLETTER_PUBLIC_URL: not a web address"):
        read_settings()


@pytest.mark.parametrize(
    "value",
    ["http://localhost:8000", "http://[::1]:80/a", "https://u:p%40@x.org/~a/b,c;d=(1)?e=f&g#h"],
)
def test_a_web_address_may_be_any_real_one(monkeypatch, value):
    monkeypatch.setenv("NEWSLETTER_PUBLIC_URL", value)
    assert read_settings().public_url == value


def test_the_example_reads_back_as_it_stands(tmp_path):
    example = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
    assert "needs quotes" in example
    (tmp_path / ".env").write_text(example.replace("\n#NEWSLETTER_POSTAL", "\nNEWSLETTER_POSTAL"))
    assert read_settings().postal_address.endswith("12345 Example")
    (tmp_path / ".env").write_text('NEWSLETTER_POSTAL_ADDRESS="1 Street #4, Town"\n')
    assert read_settings().postal_address == "1 Street #4, Town"


def test_a_name_that_nothing_reads_is_told_with_the_likely_one(monkeypatch, tmp_path):
    monkeypatch.setenv("NEWSLETTER_BUDGET", "1")
    monkeypatch.setenv("NEWSLETTER_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("NEWSLETTER_TEST_DATABASE_URL", "x")
    monkeypatch.setenv("NEWSLETTER_SECRET_KEY_FILE", "key")
    monkeypatch.setenv("SENDGRID_KEY", "x")
    (tmp_path / ".env").write_text("NEWSLETTER_FORM_EMAIL=a@x.org\nNEWSLETTER_ODD=1\nODD=1\n")
    told = misspelt(Path(ENV_FILE), variables())
    assert [one.partition(" is no setting")[0] for one in told] == [
        "NEWSLETTER_BUDGET",
        "NEWSLETTER_FORM_EMAIL",
        "NEWSLETTER_ODD",
        "SENDGRID_KEY",
    ]
    assert "is SENDGRID_API_KEY meant?" in told[3]
    assert "is NEWSLETTER_BUDGET_USD meant?" in told[0]
    assert "is NEWSLETTER_FROM_EMAIL meant?" in told[1]
    assert "take it out of .env" in told[2]
    assert "a@x.org" not in " ".join(told)


def test_a_vendors_name_with_our_prefix_is_told(monkeypatch):
    monkeypatch.setenv("NEWSLETTER_ANTHROPIC_API_KEY", "sk-x")
    (told,) = misspelt(Path(ENV_FILE), variables())
    assert told.endswith("is ANTHROPIC_API_KEY meant?")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ANTHROPIC_APIKEY", "ANTHROPIC_API_KEY"),
        ("ANTHROPIC_KEY", "ANTHROPIC_API_KEY"),
        ("SENDGRID_KEY", "SENDGRID_API_KEY"),
        ("SENDGRID_API_TOKEN", "SENDGRID_API_KEY"),
        ("ANTHROPIC_API_URL", "ANTHROPIC_BASE_URL"),
        ("ANTHROPIC_API_KEY_FILE", ""),
        ("ANTHROPIC_AUTH_TOKEN", ""),
        ("ANTHROPIC_MODEL", ""),
        ("SENDGRID_USERNAME", ""),
    ],
)
def test_a_vendors_misspelt_name_is_told_unless_the_right_one_is_there(tmp_path, name, meant):
    (tmp_path / ".env").write_text(f"{name}=sk-x\n")
    told = misspelt(Path(ENV_FILE), variables())
    assert [one.rpartition("; ")[2] for one in told] == ([f"is {meant} meant?"] if meant else [])
    assert "sk-x" not in str(told)
    (tmp_path / ".env").write_text(f"{name}=sk-x\n{meant or name}=sk-y\n")
    assert misspelt(Path(ENV_FILE), variables()) == []


@pytest.mark.parametrize(
    ("written", "is_told"),
    [
        ("1 Street #4, Town", True),
        ("1 Street#4, Town", False),
        ('"1 Street #4, Town"', False),
        ("'1 Street #4, Town'", False),
        ("1 Street  # our office", False),
        ("", False),
    ],
)
def test_a_value_that_lost_its_end_is_told(tmp_path, written, is_told):
    (tmp_path / ".env").write_text(f"# NEWSLETTER_X=a #b\nNEWSLETTER_POSTAL_ADDRESS={written}\n")
    told = setting_warnings(read_settings())
    assert [one.split(" ")[0] for one in told] == ["NEWSLETTER_POSTAL_ADDRESS"] * is_told
    assert "Town" not in str(told)


def test_an_smtp_address_without_its_mailer_is_told(monkeypatch):
    monkeypatch.setenv("NEWSLETTER_SMTP_URL", "smtp://u:secret@mail.example.org")
    [told] = setting_warnings(read_settings())
    assert told.endswith("mail goes by outbox; set NEWSLETTER_MAILER=smtp")
    monkeypatch.setenv("NEWSLETTER_MAILER", "smtp")
    assert setting_warnings(read_settings()) == []


def test_dbos_needs_postgresql_and_its_package(monkeypatch):
    monkeypatch.setenv("NEWSLETTER_ENGINE", "dbos")
    # As Python reports a package that is not installed.
    monkeypatch.setitem(sys.modules, "dbos", None)
    sqlite, missing = dbos_faults(read_settings())
    assert "SQLite lets one process write; set NEWSLETTER_DATABASE_URL" in sqlite
    assert "make install-scale" in missing
    monkeypatch.setenv("NEWSLETTER_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    assert list(dbos_faults(read_settings())) == [missing]


def test_the_local_engine_needs_nothing():
    assert not list(dbos_faults(read_settings()))
