"""A real Chromium without a window, and a web server with pages for it to visit.

Every host name leads the browser to this machine, and none of its requests leaves it.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

_HERE = Path(__file__).parents[1] / "tracker"
_PACKAGE = "@plausible-analytics/tracker"
TRACKER = _HERE / "node_modules" / _PACKAGE / "plausible.js"

_FLAGS = (
    "--headless",
    "--no-sandbox",  # which root may not have
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
    "--host-resolver-rules=MAP * 127.0.0.1",
)


def require_browser() -> None:
    """Skips the test where something is missing that it needs; in CI it fails."""
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    if not TRACKER.exists():
        missing.append(f"{_PACKAGE} from npm")
    if not missing:
        return
    message = f"{' and '.join(missing)} missing: run tests/e2e/tracker/install.sh"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def windowed_agent() -> str:
    """Returns the user agent that this Chromium has when it shows a window."""
    version = subprocess.run(
        ["chromium", "--version"], check=True, capture_output=True, text=True
    ).stdout.split()[1]
    return (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{version.split('.')[0]}.0.0.0 Safari/537.36"
    )


@contextmanager
def run_browser(profile: Path, *flags: str) -> Iterator[Chrome]:
    """Runs a browser that remembers nothing, and ends it."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}", *flags):
        options.add_argument(flag)
    browser = Chrome(options, ChromeService(shutil.which("chromedriver")))
    browser.set_script_timeout(20)
    try:
        yield browser
    finally:
        browser.quit()


class Pages:
    """A web server on a port of its own, the same for every host name.

    Attributes:
        texts: Body and media type by path. Anything else is not found.
    """

    def __init__(self) -> None:
        self.texts: dict[str, tuple[str, str]] = {
            "/js/plausible.js": (TRACKER.read_text("utf-8"), "text/javascript")
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.texts))
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def add(self, path: str, html: str) -> None:
        """Publishes a page."""
        self.texts[path] = (f"<!doctype html>\n{html}", "text/html; charset=utf-8")

    def url(self, host: str, path: str) -> str:
        """Returns where a page is under some host name."""
        return f"http://{host}:{self._server.server_port}{path}"

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(
    texts: Mapping[str, tuple[str, str]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = texts.get(self.path.partition("?")[0])
            self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
            text, media_type = found or ("", "text/plain")
            content = text.encode()
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Prints nothing: the browser's visits are no news."""

    return Handler
