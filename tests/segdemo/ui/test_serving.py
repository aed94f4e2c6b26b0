"""Who may use the page, and from where: passwords, other sites' pages, busy machines."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AuthenticationError

from segdemo.datatypes import InputError
from segdemo.ui.passwords import Accounts, password_line
from segdemo.ui.serving import PageServer, is_local, launch

ROOT = Path(__file__).parents[3]
HELLO = json.dumps({"data": ["Ada"], "fn_index": 0, "session_hash": "x"}).encode()


def small_page() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as demo:

        def hello(name: str) -> str:
            return f"Hello {name}"

        gr.api(hello, api_name="hello")
    return demo


@contextmanager
def running(server: PageServer) -> Iterator[str]:
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()


@pytest.fixture(scope="module", params=["own server", "launch"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    demo = small_page()
    if request.param == "launch":
        yield launch(demo, prevent_thread_lock=True, quiet=True)
        demo.close()
    else:
        with running(PageServer(demo)) as url:
            yield url


def test_the_page_is_built_without_pytorch(tmp_path: Path) -> None:
    code = (
        "import sys, app, pathlib\n"
        "from segdemo.editing.sessions import SessionStore\n"
        "from segdemo.ui.page import build_demo\n"
        "assistant = app.build_assistant('small-imagenet', 'auto', 'auto')\n"
        f"build_demo(assistant, SessionStore(pathlib.Path({str(tmp_path)!r}), None))\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def asked(
    address: str, headers: dict[str, str], method: str = "POST", path: str = "gradio_api/queue/join"
) -> tuple[int, dict[str, str]]:
    """Send a request; its status and the answer's headers."""
    headers = {"Content-Type": "application/json", **headers}
    body = HELLO if method == "POST" else None
    request = urllib.request.Request(address + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}


def test_programs_and_the_own_page_may_post(address: str) -> None:
    own = address.rstrip("/")
    assert Client(address, verbose=False).predict("Ada", api_name="/hello") == "Hello Ada"
    for headers in (
        {},
        {"Origin": own},
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://example.org", "X-Forwarded-Host": "example.org"},
        {"Origin": "https://example.org", "Host": "example.org:443"},
        {"Origin": "https://example.org", "Sec-Fetch-Site": "same-origin"},  # Host was replaced
    ):
        assert asked(address, headers)[0] == 200, headers


def test_pages_of_other_sites_may_not(address: str) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "https://evil.example", "X-Forwarded-Host": "example.org"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert asked(address, headers)[0] == 403, headers


def test_pages_of_other_sites_get_no_leave_to_read_or_to_send_headers() -> None:
    with running(PageServer(small_page())) as address:
        foreign = {"Origin": "https://evil.example", "Host": "example.org"}
        status, headers = asked(address, foreign, "GET", "gradio_api/token")
        assert status == 200
        assert "access-control-allow-origin" not in headers
        preflight = {**foreign, "Access-Control-Request-Method": "POST"}
        assert asked(address, preflight, "OPTIONS")[0] == 403


def test_a_password_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    lines = [password_line("ada", "Würfel 1"), password_line("bob", "x")]
    file.write_text("# who\n\n" + "\n".join(lines))
    accounts = Accounts.read(file)
    assert "Würfel" not in file.read_text()
    assert accounts.knows(
        "ada", "Wu\u0308rfel 1"
    )  # the same letters, as another keyboard sends them
    assert not accounts.knows("ada", "x")
    assert not accounts.knows("eve", "x")
    with running(PageServer(small_page(), admit=accounts.admit)) as address:
        assert asked(address, {})[0] == 401
        with pytest.raises(AuthenticationError):
            Client(address, verbose=False)
        with pytest.raises(ValueError, match="login"):
            Client(address, verbose=False, auth=("ada", "wrong"))
        client = Client(address, verbose=False, auth=("ada", "Würfel 1"))
        assert client.predict("Ada", api_name="/hello") == "Hello Ada"


GOOD = password_line("ada", "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no line"),
        ("# who\nada", "line 2 is not name:scrypt"),
        ("ada:secret", "line 1 is not name:scrypt"),
        (f"{GOOD}\n{GOOD}", "line 2: ada has a line already"),
        (GOOD.removeprefix("ada"), "line 1 has no name"),
        (GOOD.replace("$16384$", "$16383$"), "line 1 is not"),  # no power of two
        (GOOD.replace("$16384$", "$1073741824$"), "line 1 is not"),  # 1 TB
        (GOOD[:-30], "line 1 is not"),
        ("\udcff", "is not UTF-8"),
    ],
    # salts are random, and tests in several processes must have the same names
    ids="empty unnamed plain twice nameless odd huge short bytes".split(),
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "accounts"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="accounts") as caught:
        Accounts.read(file)
    assert said in str(caught.value)


def test_a_taken_port_is_refused_and_the_next_is_found() -> None:
    first = PageServer(small_page())
    second = PageServer(small_page())
    assert first.port != second.port
    with pytest.raises(OSError):
        PageServer(small_page(), port=first.port)


def test_which_addresses_only_this_machine_reaches() -> None:
    assert all(map(is_local, ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"]))
    assert not any(map(is_local, ["0.0.0.0", "::", "192.168.0.5", "example.org"]))


def test_health_needs_no_password_and_the_log_names_the_request_alone(tmp_path, caplog):
    accounts = tmp_path / "accounts"
    accounts.write_text(password_line("ada", "lovelace1815") + "\n")
    server = PageServer(small_page(), admit=Accounts.read(accounts).admit, root_path="/tools")
    caplog.set_level("DEBUG", "segdemo.requests")
    with running(server) as url:
        with urllib.request.urlopen(f"{url}health") as answer:
            assert json.load(answer) == {"status": "ok"}
            assert len(answer.headers["X-Request-ID"]) == 8
        given = {"X-Request-ID": "from-the-proxy", "Cookie": "access-token=secret"}
        assert asked(url, given, "GET", "gradio_api/file=/tmp/ada.jpg?session=abc")[0] == 401
        assert asked(url, given, "GET", "health")[1]["x-request-id"] == "from-the-proxy"
        odd = {"X-Request-ID": "two words"}
        assert asked(url, odd, "GET", "health")[1]["x-request-id"] != "two words"
    said = [record.getMessage() for record in caplog.records]
    said = [line for line in said if "heartbeat" not in line]  # a page of another test that closed
    assert said[1].startswith("request from-the-proxy: GET /gradio_api/file 401, ")
    assert not any(word in line for line in said for word in ("ada", "abc", "secret", "127.0"))


def test_an_open_page_leaves_no_traceback_when_the_server_ends(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with ExitStack() as left_open:
        with running(PageServer(small_page())) as url:
            answer = urllib.request.urlopen(f"{url}gradio_api/heartbeat/x")
            assert left_open.enter_context(answer).status == 200
    said = capfd.readouterr().err
    assert "Traceback" not in said and "graceful" not in said
