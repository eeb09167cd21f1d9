"""HTTP for downloads: one request, and what can go wrong with it in words for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

_TIMEOUT = (20.0, 60.0)  # seconds to connect, and without any byte
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_SAID = {
    400: "the server does not understand the request",
    401: "the server wants a login: download the file in a browser",
    403: "the server refuses it, perhaps until its terms are accepted: download the file in a browser",
    404: "the file is not there any more",
    407: "the proxy wants a user and a password: put them into https_proxy",
    408: "the server has waited too long",
    410: "the file is not there any more",
    429: "the server has had too many requests: try again later",
    451: "the server may not send it for legal reasons",
}


class Failure(Exception):  # noqa: N818 (not an error of the user's: it may be tried again)
    """One address, one reason.

    Parameters
    ----------
    why : str
        For a person.
    passing : bool
        It may well go away by itself.
    offline : bool
        The server was not reached: worth another try only if it has been reached before.
    contact : bool
        The server was reached.
    wait : float
        Seconds that the server asks to wait.
    """

    def __init__(
        self, why: str, *, passing: bool = False, offline: bool = False, contact: bool = False, wait: float = 0.0
    ) -> None:
        super().__init__(why)
        self.passing = passing
        self.offline = offline
        self.contact = contact
        self.wait = wait


@contextmanager
def connect(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """A GET whose body has not been read yet; the status is 200, 206 or 416.

    Redirects are followed to http and https only. Proxies and certificates are taken from the environment
    (``https_proxy``, ``REQUESTS_CA_BUNDLE``), as requests does.

    Raises
    ------
    Failure
    """
    import requests

    from cmrbench import __version__

    sent = {"User-Agent": f"cmrbench/{__version__}", "Accept-Encoding": "identity", **headers}
    if not url.lower().startswith(("http://", "https://")):
        raise Failure("only http and https addresses are fetched")
    with requests.Session() as session:
        try:
            response = session.get(url, headers=sent, stream=True, timeout=_TIMEOUT)
        except (requests.RequestException, OSError, ValueError) as error:
            raise _failure_to_connect(error) from None
        with response:
            _check_status(response)
            yield response


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status in _PASSING or status >= 500:
        said = _SAID.get(status, "the server has trouble")
        raise Failure(f"{said} ({status})", passing=True, contact=True, wait=_retry_after(response))
    if status not in (200, 206, 416):
        raise Failure(f"{_SAID.get(status, 'the server does not send it')} ({status})", contact=True)
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise Failure(f"the server sends it encoded ({encoding}) although it was asked not to", contact=True)


def _retry_after(response: requests.Response) -> float:
    given = response.headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0.0


def length_of(response: requests.Response) -> int | None:
    """Bytes of the whole file, where the server says them."""
    given = response.headers.get("Content-Length", "")
    return int(given) if given.isascii() and given.isdigit() else None


def refuse_web_page(response: requests.Response, file: str) -> None:
    """Raise a Failure for an answer that says it is HTML, unless an HTML file was asked for."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not file.endswith((".html", ".htm")):
        raise Failure("it sends a web page in the place of the file, as cloud drives do", contact=True)


def _failure_to_connect(error: Exception) -> Failure:
    import requests

    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return Failure("http_proxy or https_proxy does not hold a valid address")
    if "SOCKS" in str(error):
        return Failure("a SOCKS proxy needs PySocks: pip install pysocks")
    if isinstance(error, requests.exceptions.InvalidSchema):
        return Failure("it leads to an address that is neither http nor https, which is not followed")
    if isinstance(error, (requests.exceptions.InvalidURL, ValueError)) and not isinstance(error, OSError):
        return Failure("it is, or leads to, no valid address")
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return Failure("it leads from one address to the next without end")
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" not in str(error).upper():
        return Failure("the server offers no secure connection: check the address", offline=True)
    if isinstance(error, requests.exceptions.SSLError):
        return Failure(
            "its certificate cannot be trusted: behind a proxy that opens connections, name the proxy's certificate in "
            "REQUESTS_CA_BUNDLE",
            offline=True,
        )
    if isinstance(error, requests.exceptions.ProxyError):
        if " 407 " in str(error):
            return Failure(f"{_SAID[407]} (407)")
        return Failure("the proxy cannot be reached: check http_proxy and https_proxy", offline=True)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Failure("the server does not answer: check the network", offline=True)
    if isinstance(error, requests.exceptions.ReadTimeout):
        return Failure("the server has stopped answering", passing=True, contact=True)
    said = str(error)
    if "NameResolutionError" in said or "getaddrinfo" in said or "Name or service not known" in said:
        return Failure("its name cannot be found: check the network, or the address is gone", offline=True)
    if "RemoteDisconnected" in said or "Connection aborted" in said or "ConnectionReset" in said:
        return Failure("the connection was cut", passing=True, contact=True)
    if isinstance(error, requests.exceptions.ConnectionError):
        return Failure("no connection to the server: check the network", offline=True)
    return Failure(f"the request fails ({' '.join(said.split())[:200] or type(error).__name__})")


def failure_of_transfer(error: Exception) -> Failure:
    """Why the body did not come to its end."""
    import urllib3

    if isinstance(error, (urllib3.exceptions.ReadTimeoutError, TimeoutError)):
        return Failure("the server has stopped sending", passing=True, contact=True)
    return Failure("the connection was cut", passing=True, contact=True)
