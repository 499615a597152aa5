"""Writes docs/settings.md from `Settings`: `make docs-settings`.

Names, defaults and allowed values come from the fields. Only groups and purposes are written here.
"""

from __future__ import annotations

import sys
from datetime import time
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import SecretStr

from newsletter.files.env_file import NETWORK, PREFIX
from newsletter.settings import Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

GROUPS: dict[str, dict[str, str]] = {
    "Scoring": {
        "anthropic_api_key": "Key for Claude. Without it, papers are ranked on this machine",
        "model": "Model that scores papers",
        "budget_usd": "Highest cost of one rubric a day, reserved before each call",
        "monthly_budget_usd": "Highest cost of the service a month",
        "reader_rubric_budget_usd": "Highest cost of one rubric of a reader's own a day",
        "scoring_concurrency": "Scoring calls in flight at once",
        "prompt_version": "Version of the scoring prompt; another one scores every paper anew",
        "second_opinion": "Score papers around the cut a second time",
        "scoring_mode": "`batch` costs half and may take 24 hours; `auto` chooses",
        "scoring_requests_per_minute": "Request limit over all processes",
        "scoring_tokens_per_minute": "Input token limit over all processes",
        "scores_kept_days": "Days to keep raw answers, and scores of papers that were not picked",
        "scorer": "Scorer. Default: `claude` if a key is set, else `local`",
        "anthropic_base_url": "Address of Anthropic's API",
    },
    "Sending mail": {
        "sendgrid_api_key": "Key for SendGrid. Without it, mail is written to files",
        "mailer": "Mailer. Default: `sendgrid` if a key is set, else `outbox`",
        "smtp_url": "Mail server, with `NEWSLETTER_MAILER=smtp`. STARTTLS is required, except "
        "for a relay at `localhost` without login",
        "smtp_bounce_addresses": "Give each mail a bounce address of its own, if a reply domain is "
        "set ([how](delivery.md#bounce-addresses))",
        "from_email": "From address. Required for real mail",
        "from_name": "From name",
        "postal_address": "Postal address in each mail, as the law asks. Required for real mail",
        "public_url": "Address of the web pages, for links. Required for real mail",
        "secret_key": "Signs links. Required for real mail; else one is made in `var/`. To "
        "replace a key, put the new one in front of the old ones",
        "mails_per_second": "Mail rate limit over all processes",
        "group_audience": "From this many readers of a digest on, SendGrid gets up to 1,000 mails "
        "a request",
        "outbox_dir": "Folder for mail that is written to files",
        "sendgrid_url": "Address of SendGrid's API",
    },
    "Replies, bounces and webhooks": {
        "reply_domain": "Domain that receives replies and bounces. Default: that of the From "
        "address",
        "imap_url": "Mailbox with replies, if mail goes out by SMTP",
        "sendgrid_event_key": "Verifies SendGrid's Event Webhook, which is off until it is set",
        "inbound_secret": "Secret part of the Inbound Parse address, which is off until it is set",
        "sendgrid_inbound_key": "Verifies signed posts of SendGrid's Inbound Parse",
    },
    "Subscribers and rubrics": {
        "timezone": "Time zone of subscribers who have not chosen one",
        "send_at": "Send time of subscribers who have not chosen one",
        "rubrics_dir": "Folder of rubric files",
        "reader_rubrics": "Rubrics of their own that each reader may write on the web",
    },
    "Papers": {
        "source": "Source of papers",
        "lookback_days": "Days to look back for papers that arXiv held",
        "arxiv_delay_seconds": "Pause between two requests to arXiv, which asks for 3 s",
        "arxiv_api_url": "Address of arXiv's API",
        "arxiv_rss_url": "Address of arXiv's announcement feed",
    },
    "Operation": {
        "database_url": "SQLite file or PostgreSQL database",
        "engine": "`dbos`: tasks run on workers over PostgreSQL ([how](scaling.md))",
        "operator_email": "Address that receives alerts",
        "operator_only": "Mail the operator's own address and no other. Needs no public URL and no "
        "postal address; replies go to the operator",
        "operator_password": "Password of `/operator`, which is off until this or the header is "
        "set",
        "operator_header": "Header in which a trusted proxy names the operator",
        "late_hours": "Hours after which a missing digest raises an alert",
        "disk_free_gb": "Free disk space below which an alert is raised",
        "ping_url": "Healthcheck address, pinged after each good day",
        "log_level": "Lowest level that is logged. Default: by command",
        "dns_server": "Name server for `newsletter doctor`. Default: the system's",
    },
}

HEAD = """# Settings

For operators: every setting, its default and its allowed values.
Written by `make docs-settings` from `newsletter/settings.py`; do not edit by hand.

Set them as environment variables or as lines of `.env` (`.env.example` shows them). The
environment wins. Every setting may also come from a file, for example
`SENDGRID_API_KEY_FILE=/run/secrets/key`. A wrong value is refused with its name and the fix;
`newsletter doctor` checks them all.
"""


def page() -> str:
    missing = set(Settings.model_fields) ^ {name for group in GROUPS.values() for name in group}
    if missing:
        message = f"GROUPS and Settings differ: {', '.join(sorted(missing))}"
        raise ValueError(message)
    parts = [HEAD, *(_section(title, purposes) for title, purposes in GROUPS.items()), _network()]
    return "\n".join(parts)


def _section(title: str, purposes: dict[str, str]) -> str:
    lines = [f"## {title}", "", "| name | default | purpose | value |", "|---|---|---|---|"]
    for name, purpose in purposes.items():
        field = Settings.model_fields[name]
        variable = field.validation_alias or f"{PREFIX}{name.upper()}"
        value = (field.description or "").removeprefix("use ").replace("|", "\\|")
        lines.append(f"| `{variable}` | {_default(field)} | {purpose} | {value} |")
    return "\n".join([*lines, ""])


def _default(field: FieldInfo) -> str:
    value = field.default
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if text is None or text == "":
        return ""
    if isinstance(text, bool):
        return f"`{str(text).lower()}`"
    if isinstance(text, time):
        return f"`{text:%H:%M}`"
    return f"`{text:g}`" if isinstance(text, float | Decimal) else f"`{text}`"


def _network() -> str:
    names = ", ".join(f"`{name}`" for name in NETWORK)
    return (
        "## Proxies and certificates\n\n"
        f"{names} hold for every vendor alike and may stand in `.env` as well\n"
        "([how](operating.md#behind-a-companys-proxy)). SOCKS proxies are refused.\n"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
