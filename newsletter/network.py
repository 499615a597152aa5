"""Proxies and certificate authorities, the same for arXiv, Anthropic and SendGrid.

    HTTPS_PROXY, HTTP_PROXY, ALL_PROXY   http://HOST:PORT or http://USER:PASSWORD@HOST:PORT
    NO_PROXY                             hosts reached without a proxy; a domain covers its hosts
    SSL_CERT_FILE, SSL_CERT_DIR          trusted instead of the system's certificate authorities

Lower-case names take precedence.
"""

from __future__ import annotations

import functools
import os
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    import requests

ALL = "all"
SLOWEST = 1000.0
"""Bytes a second."""


class TimedSocket(ssl.SSLSocket):
    """A TLS connection with a limit for the time of a whole answer, from the last byte sent.

    A timeout restarts with each byte: a server that sends one now and then would never end. Here
    the answer may take `timeouts` times the timeout, and longer if at least SLOWEST bytes come a
    second.
    """

    timeouts: float = 3
    _sent_at: float | None = None
    _received = 0

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401 - any kind of buffer
        self._sent_at, self._received = time.monotonic(), 0
        return super().send(data, flags)

    def read(self, size: int = 1024, buffer: Any = None) -> Any:  # noqa: ANN401 - bytes, or an int
        timeout = self.gettimeout()
        if not timeout:
            return super().read(size, buffer)
        now = time.monotonic()
        if self._sent_at is None:
            self._sent_at = now
        left = self._sent_at + self.timeouts * timeout + self._received / SLOWEST - now
        # What is there already is read, however late: the process may have been suspended.
        self.settimeout(min(timeout, max(left, 1 / SLOWEST)))
        try:
            got: Any = super().read(size, buffer)
        finally:
            self.settimeout(timeout)
        self._received += got if isinstance(got, int) else len(got)
        return got


def is_misread(url: SplitResult) -> bool:
    """Whether a password that is not percent-encoded ended the host too early.

    Then an @ stands after it, and the host is the user's name, or a part of the password.
    """
    return "@" in f"{url.path}{url.query}{url.fragment}"


def proxy_for(url: str) -> str | None:
    """The proxy for a request to this address, or None.

    Raises SettingsError for a kind of proxy that not every library here supports.
    """
    # Loads http.client and email: 20 ms, for commands that send no request.
    from urllib.request import getproxies, proxy_bypass

    address, proxies = urlsplit(url), getproxies()
    kind = address.scheme if proxies.get(address.scheme) else ALL
    found = proxies.get(kind)
    if not found or proxy_bypass(address.netloc.rpartition("@")[2]):
        return None
    scheme, is_url, host = found.partition("://")
    if not is_url or scheme.lower() == "http":
        return f"http://{host if is_url else found}"
    name = f"{kind.upper()}_PROXY"
    what = "SOCKS proxies" if scheme.lower().startswith("socks") else f"{scheme}:// proxies"
    message = (
        f"{name}: {what} are not supported; set it to an HTTP proxy, http://HOST:PORT, "
        "or name in NO_PROXY the hosts that are reached without it"
    )
    raise SettingsError(message)


def authorities() -> str:
    """Path of the trusted certificate authorities: a file or a directory.

    If the system has none, those of `certifi`. Raises SettingsError if the path does not exist.
    """
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if path := os.environ.get(name):
            if not Path(path).exists():
                message = f"{name}: nothing exists at this path; correct or unset it"
                raise SettingsError(message)
            return path
    found = ssl.get_default_verify_paths()
    if found.cafile:
        return found.cafile
    if found.capath and any(Path(found.capath).glob("????????.0")):
        return found.capath
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    return DEFAULT_CA_BUNDLE_PATH


def tls_context(protocol: str = "") -> ssl.SSLContext:
    """The context for connections that name this protocol by ALPN, `http/1.1` for example.

    One for each protocol in a process: reading all certificate authorities takes about 30 ms.
    Raises SettingsError.
    """
    path = Path(authorities())
    found = path.stat()
    try:
        return _tls_context(path, (found.st_mtime_ns, found.st_size), protocol)
    except OSError as error:
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        message = f"certificate authorities cannot be read: {path}: {reason}; see SSL_CERT_FILE"
        raise SettingsError(message) from None


@functools.lru_cache(maxsize=8)
def _tls_context(path: Path, _version: tuple[int, int], protocol: str) -> ssl.SSLContext:
    if path.is_dir():
        made = ssl.create_default_context(capath=path)
    else:
        made = ssl.create_default_context(cafile=path)
    if protocol:
        made.set_alpn_protocols([protocol])
    made.sslsocket_class = TimedSocket
    return made


def certificate_problem(where: str, error: ssl.SSLCertVerificationError) -> str:
    """Why the certificate of a server was refused, with the fix."""
    return (
        f"the certificate of {where} is not valid: {error.verify_message}; "
        "let SSL_CERT_FILE name the authority that signed it"
    )


def session(url: str) -> requests.Session:
    """A session for requests to the host of this address. Raises SettingsError."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.ssl_ import create_urllib3_context

    class TimedAdapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - passed on
            super().init_poolmanager(*args, ssl_context=context, **more)

        def proxy_manager_for(self, proxy: str, **more: Any) -> Any:  # noqa: ANN401 - passed on
            return super().proxy_manager_for(proxy, ssl_context=context, **more)

    context = create_urllib3_context()
    context.sslsocket_class = TimedSocket
    made = requests.Session()
    made.mount("https://", TimedAdapter())
    made.trust_env = False
    made.verify = authorities()
    if proxy := proxy_for(url):
        made.proxies = {"http": proxy, "https": proxy}
    return made
