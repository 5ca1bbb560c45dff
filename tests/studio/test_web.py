"""Both doors: what they let in, what they refuse, and whose things a request is about."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from studio.owners import COOKIE, OwnerMiddleware, host_name, owner_of
from studio.settings import Settings
from studio.web import create_app

ROOT = Path(__file__).parent.parent.parent
HOME = "http://127.0.0.1:7860"
EVIL = "http://evil.example"
JOB = {"kind": "generate", "prompt": "a ball", "num_inference_steps": 1}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The studio of one person at this machine; no worker, jobs only wait."""
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("studio"), workers=0))
    with TestClient(app, base_url=HOME) as client:
        yield client


def test_page_reference_and_health_are_there(local: TestClient) -> None:
    page = local.get("/")
    assert page.status_code == 200 and "AIPROD Studio" in page.text
    for path in ("/livez", "/readyz", "/docs", "/openapi.json", "/config"):
        assert local.get(path).status_code == 200, path


def test_text_goes_out_compressed_and_clips_as_they_are(local: TestClient) -> None:
    page = local.get("/")
    assert page.headers["content-encoding"] == "gzip" and int(page.headers["content-length"]) < 0.3 * len(page.content)
    assert "content-encoding" not in local.get("/", headers={"accept-encoding": "identity"}).headers
    example = local.get(re.search(r'/gradio_api/file=[^"\\]+example\.mp4', page.text)[0], headers={"range": "bytes=0-99"})
    assert example.status_code == 206 and "content-encoding" not in example.headers and len(example.content) == 100


def test_the_queue_says_what_stands_in_its_way(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, engine="tests.studio.fast_engine:Missing", drain_s=0.2))
    with TestClient(app, base_url=HOME) as client:
        assert client.get("/api/v1/queue").json()["ready"] is False, "a worker that only starts is not ready"
        give_up = time.monotonic() + 60
        while not (problems := client.get("/api/v1/queue").json()["problems"]):
            assert time.monotonic() < give_up
            time.sleep(0.1)
        assert "does not start" in problems[0] and client.get("/readyz").status_code == 503


def test_the_page_asks_nothing_of_other_hosts(local: TestClient) -> None:
    page = local.get("/").text + local.get("/theme.css").text
    for host in ("google-analytics", "googletagmanager", "api.gradio.app"):
        assert host not in page
    assert local.get("/config").json()["analytics_enabled"] is False


@pytest.mark.parametrize("path", ["/", "/config", "/api/v1/jobs", "/api/v1/clips", "/gradio_api/info", "/livez"])
@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost:3000", "http://127.0.0.1:9999"])
def test_no_origin_but_our_own_reads(local: TestClient, path: str, origin: str) -> None:
    answer = local.get(path, headers={"origin": origin})
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_preflights_are_refused(local: TestClient) -> None:
    for path in ("/api/v1/jobs", "/gradio_api/upload", "/gradio_api/run/predict"):
        answer = local.options(path, headers={"origin": EVIL, "access-control-request-method": "POST"})
        assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers


def test_our_own_page_may_do_everything(local: TestClient) -> None:
    own = {"origin": HOME, "sec-fetch-site": "same-origin"}
    answer = local.post("/api/v1/jobs", json=JOB, headers=own)
    assert answer.status_code == 202
    assert "access-control-allow-origin" not in answer.headers
    assert local.post(f"/api/v1/jobs/{answer.json()['id']}/cancel", headers=own).status_code == 200


def test_forms_and_pictures_of_other_sites_reach_nothing(local: TestClient) -> None:
    before = len(local.get("/api/v1/jobs").json())
    form = local.post("/api/v1/jobs", content='{"prompt": "x"}', headers={"origin": EVIL, "content-type": "text/plain"})
    assert form.status_code == 403
    picture = local.get("/api/v1/clips", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"})
    assert picture.status_code == 403
    link = local.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"})
    assert link.status_code == 200, "a link to the studio on another page works"
    assert len(local.get("/api/v1/jobs").json()) == before


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example:7860", ""]
)
def test_foreign_host_names_get_nowhere(local: TestClient, host: str) -> None:
    for path in ("/", "/api/v1/jobs", "/gradio_api/info"):
        answer = local.get(path, headers={"host": host})
        assert answer.status_code == 403 and "127.0.0.1" in answer.json()["error"]["message"]
    rebound = local.post("/api/v1/jobs", json=JOB, headers={"host": "evil.example:7860", "origin": "http://evil.example:7860"})
    assert rebound.status_code == 403


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1", "[::1]:7860", "LOCALHOST:7860"])
def test_this_machines_names_are_fine(local: TestClient, host: str) -> None:
    assert local.get("/livez", headers={"host": host}).status_code == 200


def test_a_studio_for_the_network_takes_any_name_but_only_its_own_pages(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, workers=0, host="0.0.0.0"))
    with TestClient(app, base_url="http://studio.lan:7860") as client:
        assert client.get("/livez").status_code == 200
        assert client.post("/api/v1/jobs", json=JOB, headers={"origin": "http://studio.lan:7860"}).status_code == 202
        assert client.post("/api/v1/jobs", json=JOB, headers={"origin": EVIL}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/cancel"),
        ("POST", "/gradio_api/reset"),
        ("POST", "/gradio_api/reset/"),
        ("POST", "/gradio_api/call/predict"),
        ("POST", "/gradio_api/api/predict"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/proxy=http://169.254.169.254/latest"),
        ("GET", "/gradio_api/stream/a/b/c/playlist.m3u8"),
        ("POST", "/gradio_api/process_recording"),
        ("GET", "/gradio_api/runs"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/vibe-code"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/gradio_api/mcp/sse"),
        ("GET", "/gradio_api/token"),
        ("GET", "/gradio_api/queue/status"),
        ("GET", "/gradio_api/openapi.json"),
        ("GET", "/monitoring"),
        ("GET", "/monitoring/summary"),
    ],
)
def test_gradios_open_endpoints_are_closed(local: TestClient, method: str, path: str) -> None:
    answer = local.request(method, path)
    assert answer.status_code == 404 and answer.json()["error"]["field"] == "path"


def test_gradio_serves_nothing_of_ours(local: TestClient, tmp_path: Path) -> None:
    for path in (ROOT / "LICENSE", Path("/etc/passwd"), ROOT / "data" / "studio.db"):
        assert local.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_bodies_have_an_end(local: TestClient) -> None:
    answer = local.post("/gradio_api/run/predict", content=b"x" * (3 * 1024**2))
    assert answer.status_code == 413
    endless = local.post("/gradio_api/run/predict", content=(b"x" * 65536 for _ in range(64)))
    assert endless.status_code == 413
    assert local.get("/livez").status_code == 200


def test_answers_carry_their_guards(local: TestClient) -> None:
    headers = local.get("/").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert COOKIE not in headers.get("set-cookie", ""), "one person needs no cookie"


@pytest.mark.parametrize(
    ("host", "name"),
    [("Localhost:1", "localhost"), ("[::1]:80", "::1"), ("::1", "::1"), ("a.b", "a.b"), ("", ""), ("a:b:c", "a:b:c")],
)
def test_names_in_host_headers(host: str, name: str) -> None:
    assert host_name(host) == name


SECRET = "a secret of the Space"


def test_a_share_link_makes_guests_of_all_but_this_machine(tmp_path: Path) -> None:
    async def tell(request: Request) -> PlainTextResponse:
        return PlainTextResponse(owner_of(request))

    asked = OwnerMiddleware(Starlette(routes=[Route("/", tell)]), Settings(data_dir=tmp_path), shared=True)
    with TestClient(asked, base_url="http://127.0.0.1:7860") as here:
        assert here.get("/").text == "local"
        assert here.get("/", headers={"x-forwarded-for": "203.0.113.9"}).text.startswith("guest:")
    with (
        TestClient(asked, base_url="https://abc.gradio.live") as visitor,
        TestClient(asked, base_url="https://abc.gradio.live") as other,
    ):
        guest = visitor.get("/").text
        assert guest.startswith("guest:") and visitor.get("/").text == guest
        assert other.get("/").text != guest
    assert (tmp_path / "guest.key").stat().st_mode & 0o077 == 0


@dataclass(frozen=True)
class Space:
    """A studio that believes to be a hosted Space."""

    url: str

    def signed_in(self, subject: str, *, secret: str = SECRET, expires_in_s: float = 3600) -> httpx.Client:
        """The browser of somebody whom Hugging Face has signed in: gradio's session cookie, signed as gradio does it."""
        signed = {"userinfo": {"sub": subject, "preferred_username": subject}, "expires_at": time.time() + expires_in_s}
        key = hashlib.sha256(f"{secret}-v4".encode()).hexdigest()
        session = TimestampSigner(key).sign(base64.b64encode(json.dumps({"oauth_info": signed}).encode())).decode()
        return httpx.Client(base_url=self.url, headers={"cookie": f"session={session}"}, timeout=120)

    def guest(self) -> httpx.Client:
        """A stranger's browser: it keeps the cookie, as it would over the Space's HTTPS."""
        first = httpx.get(self.url, timeout=120)
        cookie = first.headers["set-cookie"].partition(";")[0]
        return httpx.Client(base_url=self.url, headers={"cookie": cookie}, timeout=120)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """``python app.py`` as a Space starts it: gradio's own ``launch()``."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    data_dir = tmp_path_factory.mktemp("space")
    env = os.environ | {
        "SYSTEM": "spaces",
        "SPACE_ID": "someone/studio",
        "SPACE_HOST": "someone-studio.hf.space",
        "OAUTH_CLIENT_ID": "studio",
        "OAUTH_CLIENT_SECRET": SECRET,
        "OAUTH_SCOPES": "openid profile",
        "OPENID_PROVIDER_URL": "https://huggingface.invalid",
        "STUDIO_PORT": str(port),
        "STUDIO_DATA_DIR": str(data_dir),
        "STUDIO_ENGINE": "tests.studio.api.painter:Painter",
        "PYTHONPATH": str(ROOT),
    }
    log = (data_dir / "launch.log").open("w")
    process = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            pass
        assert process.poll() is None, (data_dir / "launch.log").read_text()
        time.sleep(0.2)
    yield Space(url)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    log.close()


def test_a_space_serves_page_and_api(space: Space) -> None:
    with space.guest() as guest:
        assert "AIPROD Studio" in guest.get("/").text
        assert "/api/v1/jobs/{job_id}" in guest.get("/openapi.json").json()["paths"]
        assert guest.get("/docs").status_code == 200
        assert guest.get("/api/v1/nowhere").json()["error"]["status"] == 404
        assert guest.post("/gradio_api/cancel").status_code == 404


def test_guests_may_look_at_models_but_not_verify_them(space: Space) -> None:
    with space.guest() as guest:
        told = guest.get("/api/v1/models/pocket/state").json()
        assert told["state"] == "here" and told["folder"] is None and not told["may_verify"]
        distant = guest.get("/api/v1/models/ltx-2/state").json()
        assert distant["disk_free_bytes"] is None and distant["to_fetch_bytes"] > 0
        asked = [
            ("POST", "pocket/verify", None),
            ("POST", "pocket/verify/cancel", None),
            ("POST", "ltx-2/install", {"accept_licence": True}),
            ("POST", "ltx-2/install/cancel", None),
            ("DELETE", "ltx-2?sure=true", None),
            ("PUT", "default", {"model": "pocket"}),
            ("GET", "found?folder=/", None),
            ("POST", "../loras/found", {"path": "/etc/passwd"}),
        ]
        for method, path, body in asked:
            origin = {"origin": "https://someone-studio.hf.space"}
            refused = guest.request(method, f"/api/v1/models/{path}", json=body, headers=origin)
            assert refused.status_code == 403 and refused.json()["error"]["field"] == "model"


def test_a_space_answers_its_own_page_alone(space: Space) -> None:
    with space.guest() as guest:
        assert guest.get("/api/v1/jobs", headers={"origin": "https://someone-studio.hf.space"}).status_code == 200
        refused = guest.get("/api/v1/jobs", headers={"origin": EVIL})
        assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers
        preflight = guest.options("/api/v1/jobs", headers={"origin": EVIL, "access-control-request-method": "POST"})
        assert "access-control-allow-origin" not in preflight.headers


def test_strangers_see_nothing_of_each_other(space: Space) -> None:
    with space.guest() as one, space.guest() as other:
        job = one.post("/api/v1/jobs", json=JOB).json()
        address = f"/api/v1/jobs/{job['id']}"
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up and one.get(address).json()["state"] != "done":
            time.sleep(0.1)
        clip = one.get(address).json()["result"]
        assert one.get(clip["urls"]["file"]).status_code == 200
        for path in (address, f"{address}/events", f"{address}/preview", *clip["urls"].values(), f"/api/v1/clips/{clip['id']}"):
            assert other.get(path).status_code == 404, path
        assert other.post(f"{address}/cancel").status_code == 404
        assert other.post(f"{address}/retry").status_code == 404
        assert other.delete(f"/api/v1/clips/{clip['id']}").status_code == 404
        assert other.patch(f"/api/v1/clips/{clip['id']}", json={"name": "mine"}).status_code == 404
        assert other.get("/api/v1/jobs").json() == [] and other.get("/api/v1/clips").json()["total"] == 0
        assert one.get("/api/v1/clips").json()["total"] == 1


def test_guests_cannot_forge_a_name_or_stop_the_queue(space: Space) -> None:
    with space.guest() as guest:
        own = guest.headers["cookie"]
        assert httpx.get(f"{space.url}/api/v1/jobs", headers={"cookie": own}).headers.get("set-cookie") is None
        name, _, signature = own.partition("=")[2].rpartition(".")
        for forged in (f"{name}x.{signature}", f"local.{signature}", f"{name}.", "local", "."):
            answer = httpx.get(f"{space.url}/api/v1/jobs", headers={"cookie": f"{COOKIE}={forged}"})
            assert COOKIE in answer.headers["set-cookie"], "an unknown name gets a new one"
        assert guest.post("/api/v1/queue/pause").status_code == 403
        assert guest.post("/api/v1/jobs?priority=5", json=JOB).status_code == 403


def test_the_signed_in_keep_their_library_in_every_browser(space: Space) -> None:
    with space.signed_in("alice") as laptop, space.signed_in("alice") as phone, space.signed_in("bob") as other:
        job = laptop.post("/api/v1/jobs", json=JOB).json()
        assert phone.get(f"/api/v1/jobs/{job['id']}").status_code == 200
        assert other.get(f"/api/v1/jobs/{job['id']}").status_code == 404
        with space.signed_in("alice", secret="") as forged, space.signed_in("alice", expires_in_s=-1) as late:
            assert forged.get(f"/api/v1/jobs/{job['id']}").status_code == 404
            assert late.get(f"/api/v1/jobs/{job['id']}").status_code == 404
        assert phone.post("/api/v1/queue/pause").status_code == 403


def test_a_space_offers_to_sign_in(space: Space) -> None:
    with space.guest() as guest:
        assert "Sign in with Hugging Face" in guest.get("/config").text


def test_nobody_signs_in_at_their_own_machine(local: TestClient) -> None:
    assert "Sign in with Hugging Face" not in local.get("/config").text
    assert local.get("/login/huggingface", follow_redirects=False).status_code in (404, 405)
