"""Every setting, read once from the environment, `.env` and secret files, and validated."""

from __future__ import annotations

import os
import re
from datetime import time
from decimal import Decimal
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from newsletter.domain.model import NANOS_PER_DOLLAR
from newsletter.domain.preferences import parse_clock, parse_zone
from newsletter.domain.reader_rubrics import is_reader_rubric
from newsletter.errors import OperatorError
from newsletter.files import env_file
from newsletter.files.env_file import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo

HEADER = re.compile(r"[A-Za-z0-9-]+")
COMMON_HEADER = re.compile(
    r"(?i)(host|connection|user-agent|referer|origin|cookie|authorization|date|via|forwarded"
    r"|upgrade-.+|content-.+|accept.*|sec-.+|cache-control|pragma|priority|te"
    r"|x-forwarded-(for|host|proto|port|server)|x-real-ip|x-request-id)"
)
"""Headers that clients and proxies send by themselves: they would make everybody the operator."""
# The characters of RFC 3986, without the quote, which could end an HTML attribute.
WEB_ADDRESS = re.compile(r"https?://[\w.~%:@\[\]-]+(/[\w.~%:@\[\]!$&()*+,;=/?#-]*)?", re.ASCII)
ADDRESS = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;]+")


def _web_address(value: str) -> str:
    if not WEB_ADDRESS.fullmatch(value) or not _has_valid_host(value):
        message = "not a web address"
        raise ValueError(message)
    return value.rstrip("/")


def _has_valid_host(url: str) -> bool:
    """Whether host and port can be read: not in `http://[::1` and `http://host:99999`."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _api_key(value: SecretStr) -> SecretStr:
    """The key without white space around it.

    A key is sent as a header. Libraries answer characters that no header may hold with an error
    that shows the whole key, or send them as others.
    """
    key = value.get_secret_value().strip()
    if not all("!" <= letter <= "~" for letter in key):
        message = "it holds a space, a line break or a character that no key has; copy it again"
        raise ValueError(message)
    return SecretStr(key)


def _name_server(value: str) -> str:
    """An IP address; after an IPv4 address a port may follow, as in `127.0.0.1:5353`."""
    host, colon, port = value.partition(":") if value.count(":") == 1 else (value, "", "")
    try:
        ip_address(host or "::1")
        is_valid = bool(host or not colon) and (not colon or 0 < int(port) < 2**16)
    except ValueError:
        is_valid = False
    if not is_valid:
        message = "not an IP address"
        raise ValueError(message)
    return value


def _address(value: str) -> str:
    if value and not ADDRESS.fullmatch(value):
        message = "not an email address"
        raise ValueError(message)
    return value


def _without_value(parse: Callable[[str], object]) -> Callable[[object], object]:
    """`parse` for a setting.

    Its message leaves out the value, which may be a misplaced secret, and the example, which is in
    the description of the setting.
    """

    def check(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError as error:
            message = str(error).removeprefix(f"{value!r} ").partition("; write it like ")[0]
            raise ValueError(message) from None

    return check


def _proxy_header(value: str) -> str:
    if value and not HEADER.fullmatch(value):
        message = "not the name of a header"
        raise ValueError(message)
    if COMMON_HEADER.fullmatch(value):
        message = "a header that everybody sends"
        raise ValueError(message)
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]
Address = Annotated[str, AfterValidator(_address)]
ApiKey = Annotated[SecretStr, AfterValidator(_api_key)]
NameServer = Annotated[str, AfterValidator(_name_server)]
ProxyHeader = Annotated[str, AfterValidator(_proxy_header)]
Zone = Annotated[str, AfterValidator(_without_value(parse_zone))]
Clock = Annotated[time, BeforeValidator(_without_value(parse_clock))]

DEFAULT_PUBLIC_URL = "http://localhost:8000"
MAKE_KEY = "python3 -c 'import secrets; print(secrets.token_hex(32))'"
ENV_FILE = ".env"


class SettingsError(OperatorError):
    """A setting is wrong or missing. The message names it and the fix."""

    exit_status = 2

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
        """One line for each setting."""


class SecretFiles(PydanticBaseSettingsSource):
    """`NAME_FILE=/run/secrets/x` sets NAME to the content of that file, stripped.

    A path in the environment wins over one in `.env`, whose names `in_file` has in lower case.
    """

    def __init__(self, settings_cls: type[BaseSettings], in_file: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._in_file = in_file

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = _variable(field_name, field)
        path = os.environ.get(f"{name}_FILE") or self._in_file.get(f"{name}_FILE".lower())
        if not path:
            return None, name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), name, False
        except (OSError, UnicodeDecodeError) as error:
            message = f"{name}_FILE: cannot read {path}; name a readable text file"
            raise SettingsError(message) from error

    def __call__(self) -> dict[str, Any]:
        found = {}
        for field_name, field in self.settings_cls.model_fields.items():
            value, _, _ = self.get_field_value(field, field_name)
            if value is not None:
                found[str(field.validation_alias or field_name)] = value
        return found


class Settings(BaseSettings):
    """A field's description is the fix that is shown if its value is wrong."""

    model_config = SettingsConfigDict(
        env_prefix="NEWSLETTER_",
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    database_url: SecretStr = Field(
        SecretStr("sqlite:///var/newsletter.db"),
        description="use sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME",
    )
    engine: Literal["local", "dbos"] = Field("local", description="use local or dbos")
    source: Literal["arxiv", "sample"] = Field("arxiv", description="use arxiv or sample")
    scorer: Literal["", "claude", "local", "sample"] = Field("", description="use claude or local")
    mailer: Literal["", "outbox", "smtp", "sendgrid"] = Field(
        "", description="use outbox, smtp or sendgrid"
    )

    arxiv_api_url: WebAddress = Field(
        "https://export.arxiv.org/api/query", description="use an http(s) address"
    )
    arxiv_rss_url: WebAddress = Field(
        "https://rss.arxiv.org/rss", description="use an http(s) address"
    )
    arxiv_delay_seconds: float = Field(
        3.0, ge=0, le=600, description="use seconds between requests; arXiv asks for 3"
    )
    lookback_days: int = Field(7, ge=0, le=60, description="use whole days from 0 to 60")

    anthropic_api_key: ApiKey = Field(
        SecretStr(""),
        validation_alias="ANTHROPIC_API_KEY",
        description="use a key from the Claude Console",
    )
    anthropic_base_url: WebAddress = Field(
        "https://api.anthropic.com",
        validation_alias="ANTHROPIC_BASE_URL",
        description="use an http(s) address",
    )
    model: str = Field("claude-haiku-5-5", description="use a model of the price table")
    budget_usd: Decimal = Field(
        Decimal("0.15"), ge=0, le=10_000, description="use dollars per rubric and day, like 0.15"
    )
    monthly_budget_usd: Decimal | None = Field(
        None, ge=0, le=1_000_000, description="use dollars per month, like 20"
    )
    reader_rubrics: int = Field(
        0, ge=0, le=100, description="use how many rubrics a reader may write; 0 turns it off"
    )
    reader_rubric_budget_usd: Decimal = Field(
        Decimal("0.03"), ge=0, le=10_000, description="use dollars per rubric and day, like 0.03"
    )
    scoring_concurrency: int = Field(8, ge=1, le=256, description="use a number from 1 to 256")
    scoring_mode: Literal["auto", "now", "batch"] = Field(
        "auto", description="use auto, now or batch"
    )
    prompt_version: Literal["1", "2"] = Field("1", description="use 1 or 2")
    second_opinion: bool = Field(True, description="use true or false")  # noqa: FBT003 - a default

    sendgrid_api_key: ApiKey = Field(
        SecretStr(""),
        validation_alias="SENDGRID_API_KEY",
        description="use a key with the Mail Send permission",
    )
    sendgrid_url: WebAddress = Field(
        "https://api.sendgrid.com", description="use an http(s) address"
    )
    sendgrid_event_key: str = Field("", description="use the public key that SendGrid shows")
    sendgrid_inbound_key: str = Field("", description="use the public key that SendGrid shows")
    inbound_secret: SecretStr = Field(
        SecretStr(""), description="use 20 or more random letters and digits"
    )
    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="use smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://, with @ : / # % of a "
        "password as %40 %3A %2F %23 %25",
    )
    smtp_bounce_addresses: bool = Field(
        True,  # noqa: FBT003 - a default
        description="use true or false",
    )
    imap_url: SecretStr = Field(
        SecretStr(""), description="use imaps://USER:PASSWORD@HOST:993/FOLDER"
    )
    outbox_dir: Path = Field(Path("var/outbox"), description="use a writable folder")

    from_email: Address = Field("", description="use an address of your sending domain")
    from_name: str = Field("arXiv digest", description="use the sender name that readers see")
    postal_address: str = Field("", description="use the sender's postal address, on one line")
    operator_email: Address = Field("", description="use the operator's address")
    operator_only: bool = Field(
        False,  # noqa: FBT003 - a default
        description="use true or false",
    )
    reply_domain: str = Field(
        "", pattern=r"^$|^[A-Za-z0-9.-]+\.[A-Za-z]{2,}$", description="use a bare domain name"
    )
    public_url: WebAddress = Field(
        DEFAULT_PUBLIC_URL, description="use the address of the web pages, as readers reach it"
    )
    secret_key: SecretStr = Field(
        SecretStr(""), description="use 32 or more random letters; append old keys after commas"
    )
    rubrics_dir: Path = Field(
        Path("templates/rubrics"), description="use a folder with rubric files"
    )
    late_hours: float = Field(
        3.0,
        gt=0,
        le=240,
        description="use hours after which a late announcement raises an alert, like 3",
    )
    disk_free_gb: float = Field(
        1.0, ge=0, le=100_000, description="use gigabytes; less free space raises an alert, like 1"
    )
    log_level: Literal["", "debug", "info", "warning", "error"] = Field(
        "", description="use debug, info, warning or error"
    )
    ping_url: WebAddress | Literal[""] = Field(
        "", description="use the http(s) address of a healthcheck monitor"
    )
    operator_password: SecretStr = Field(
        SecretStr(""), description="use 12 or more characters; empty turns the page off"
    )
    operator_header: ProxyHeader = Field(
        "", description="use the header in which your proxy names the user, like X-Forwarded-User"
    )
    mails_per_second: float | None = Field(
        None, gt=0, le=10_000, description="use mails per second of all processes, like 50"
    )
    scoring_requests_per_minute: int | None = Field(
        None, ge=1, description="use the requests per minute of your Anthropic tier"
    )
    scoring_tokens_per_minute: int | None = Field(
        None, ge=1, description="use the input tokens per minute of your Anthropic tier"
    )
    dns_server: NameServer = Field(
        "", description="use the IP address of a name server, like 9.9.9.9"
    )
    group_audience: int = Field(
        20_000, ge=1, description="use the number of readers above which mail is sent in batches"
    )
    scores_kept_days: int = Field(180, ge=120, le=36_500, description="use days, 120 or more")
    timezone: Zone = Field("UTC", description="use a zone name like Europe/Berlin")
    send_at: Clock = Field(time(7, 0), description="use a time of day like 07:00")

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        keys = [key.strip() for key in value.get_secret_value().split(",") if key.strip()]
        if value.get_secret_value() and not keys:
            message = "it holds no key"
            raise ValueError(message)
        if any(len(key) < 16 for key in keys):  # noqa: PLR2004 - the fix names the number
            message = "a key has fewer than 16 characters"
            raise ValueError(message)
        return value

    @field_validator("operator_password")
    @classmethod
    def _not_guessed(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 12:  # noqa: PLR2004 - the fix names the number
            message = "it has fewer than 12 characters"
            raise ValueError(message)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        in_file = getattr(dotenv_settings, "env_vars", {})
        files = SecretFiles(settings_cls, in_file)
        return init_settings, env_settings, files, dotenv_settings, file_secret_settings

    @property
    def scorer_name(self) -> str:
        return self.scorer or ("claude" if self.anthropic_api_key.get_secret_value() else "local")

    @property
    def mailer_name(self) -> str:
        return self.mailer or ("sendgrid" if self.sendgrid_api_key.get_secret_value() else "outbox")

    @property
    def budget_nanos(self) -> int:
        """The budget of one rubric and day."""
        return int(self.budget_usd * NANOS_PER_DOLLAR)

    def budget_of(self, slug: str) -> int:
        """The budget of this rubric and a day."""
        return self.reader_rubric_budget_nanos if is_reader_rubric(slug) else self.budget_nanos

    @property
    def reader_rubric_budget_nanos(self) -> int:
        """The budget of one reader rubric and day."""
        return int(self.reader_rubric_budget_usd * NANOS_PER_DOLLAR)

    @property
    def monthly_budget_nanos(self) -> int | None:
        month = self.monthly_budget_usd
        return None if month is None else int(month * NANOS_PER_DOLLAR)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def reply_host(self) -> str:
        """Where replies go: the reply domain, else the From address's own domain."""
        return self.reply_domain or self.from_email.rpartition("@")[2]


def read_settings(**overrides: object) -> Settings:
    """Read the settings. Raises SettingsError with one line for each wrong setting."""
    secrets = Path("/run/secrets")
    if fault := env_file.syntax_fault(Path(ENV_FILE)):
        raise SettingsError(fault)
    env_file.export_network(Path(ENV_FILE))
    try:
        return Settings(
            _secrets_dir=secrets if secrets.is_dir() else None,
            **overrides,  # type: ignore[arg-type]
        )
    except ValidationError as error:
        raise SettingsError(*(_fault(dict(fault)) for fault in error.errors())) from None


def _fault(fault: dict[str, Any]) -> str:
    """`NAME: what is wrong; the fix`, without the value: it may be a secret."""
    place = str(fault["loc"][0])
    field = Settings.model_fields.get(place)
    name = _variable(place, field) if field else place
    field = variables().get(name)
    reason = str(fault["msg"]).removeprefix("Value error, ")
    hint = f"; {field.description}" if field and field.description else ""
    return f"{name}: {reason[:1].lower()}{reason[1:]}{hint}"


def setting_warnings(settings: Settings) -> list[str]:
    """Settings that have no effect, or another than it seems: `what is wrong; the fix` each."""
    unused = []
    if settings.smtp_url.get_secret_value() and settings.mailer_name != "smtp":
        unused.append(
            f"NEWSLETTER_SMTP_URL is set and mail goes by {settings.mailer_name}; "
            "set NEWSLETTER_MAILER=smtp"
        )
    file = Path(ENV_FILE)
    return [*env_file.misspelt(file, variables()), *env_file.cut_values(file), *unused]


def variables() -> dict[str, FieldInfo]:
    """Every setting by its environment variable."""
    return {_variable(key, field): field for key, field in Settings.model_fields.items()}


def _variable(key: str, field: FieldInfo) -> str:
    return str(field.validation_alias or f"{PREFIX}{key}").upper()


def dbos_faults(settings: Settings) -> Iterator[str]:
    """Why the engine `dbos` cannot run here; nothing if it can, or if another engine is set."""
    if settings.engine != "dbos":
        return
    if settings.database_url.get_secret_value().startswith("sqlite"):
        yield (
            "NEWSLETTER_ENGINE: dbos needs PostgreSQL, because SQLite lets one process write; set "
            "NEWSLETTER_DATABASE_URL=postgresql+psycopg://..., or NEWSLETTER_ENGINE=local"
        )
    if find_spec("dbos") is None:
        yield "NEWSLETTER_ENGINE: dbos is not installed; run: make install-scale"


def require_mail_settings(settings: Settings) -> None:
    """Raise SettingsError unless all settings that real mail needs are set."""
    if settings.mailer_name == "outbox":
        return
    needed = {"NEWSLETTER_FROM_EMAIL": settings.from_email}
    if settings.operator_only:
        needed["NEWSLETTER_OPERATOR_EMAIL"] = settings.operator_email
    else:
        needed["NEWSLETTER_POSTAL_ADDRESS"] = settings.postal_address.strip()
        needed["NEWSLETTER_PUBLIC_URL"] = settings.public_url.removeprefix(DEFAULT_PUBLIC_URL)
    needed["NEWSLETTER_SECRET_KEY"] = settings.secret_key.get_secret_value()
    if settings.mailer_name == "sendgrid":
        needed["SENDGRID_API_KEY"] = settings.sendgrid_api_key.get_secret_value()
    if settings.mailer_name == "smtp":
        needed["NEWSLETTER_SMTP_URL"] = settings.smtp_url.get_secret_value()
    if missing := [name for name, value in needed.items() if not value]:
        verb, it = ("are", "them") if len(missing) > 1 else ("is", "it")
        message = (
            f"{', '.join(missing)} {verb} not set: mail by {settings.mailer_name} needs {it}; "
            f"set {it}, or use NEWSLETTER_MAILER=outbox to write mail to files"
        )
        raise SettingsError("; ".join([message, *_how_to_set(settings, missing)]))


def _how_to_set(settings: Settings, missing: Sequence[str]) -> Iterator[str]:
    """More about settings whose value is not obvious."""
    if "NEWSLETTER_PUBLIC_URL" in missing and "public_url" in settings.model_fields_set:
        yield f"{DEFAULT_PUBLIC_URL} is an address that no reader can open"
    if "NEWSLETTER_SECRET_KEY" in missing:
        yield f"`{MAKE_KEY}` makes a key"
