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
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from newsletter.settings import SettingsError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    import requests

ALL = "all"


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

    made = requests.Session()
    made.trust_env = False
    made.verify = authorities()
    if proxy := proxy_for(url):
        made.proxies = {"http": proxy, "https": proxy}
    return made
