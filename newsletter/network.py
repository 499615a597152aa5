"""How requests leave: through which proxy, and which certificate authorities are believed.

One rule for arXiv, Anthropic and SendGrid, whatever library asks:

    HTTPS_PROXY, HTTP_PROXY, ALL_PROXY   http://HOST:PORT or http://USER:PASSWORD@HOST:PORT
    NO_PROXY                             host names reached without it; a domain covers its hosts
    SSL_CERT_FILE, SSL_CERT_DIR          what is believed instead of the system's authorities

Names in small letters count as well, and before the others.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from newsletter.settings import SettingsError

if TYPE_CHECKING:
    import requests

ALL = "all"


def proxy_for(url: str) -> str | None:
    """The proxy that a request for this address goes through; None where it goes by itself.

    Raises SettingsError for a proxy of a kind that not every library here speaks.
    """
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
    """A file, or a directory, of the certificate authorities that are believed.

    Where the system has none, those that come with `certifi`. Raises SettingsError for a path that
    is not there.
    """
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if path := os.environ.get(name):
            if not Path(path).exists():
                message = f"{name}: nothing is at this path; set it to what is there, or unset it"
                raise SettingsError(message)
            return path
    found = ssl.get_default_verify_paths()
    if found.cafile:
        return found.cafile
    if found.capath and any(Path(found.capath).glob("????????.0")):
        return found.capath
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    return DEFAULT_CA_BUNDLE_PATH


def tls_context() -> ssl.SSLContext:
    """To be made once and kept: it reads all of the authorities, which takes some 30 ms.

    Raises SettingsError.
    """
    path = authorities()
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        message = f"certificate authorities cannot be read: {path}: {reason}; see SSL_CERT_FILE"
        raise SettingsError(message) from None


def session(url: str) -> requests.Session:
    """For requests to the host of this address."""
    import requests

    made = requests.Session()
    made.trust_env = False
    made.verify = authorities()
    if proxy := proxy_for(url):
        made.proxies = {"http": proxy, "https": proxy}
    return made
