"""As much of the Hugging Face hub as huggingface_hub asks for a snapshot: a real HTTP server over a folder of files."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

COMMIT = "b" * 40


@dataclass
class Hub:
    """One repository, ``source``, whose files are those of ``folder`` and ``extra``; ``pause_s`` is slept before each 64 KiB.

    The file ``damaged`` loses its last byte to another on the way.
    """

    source: str
    folder: Path
    extra: dict[str, bytes] = field(default_factory=dict)
    pause_s: float = 0.0
    damaged: str = ""
    url: str = ""
    served_bytes: int = 0

    def files(self) -> dict[str, bytes]:
        """All that the repository holds, by path."""
        every = (file for file in sorted(self.folder.rglob("*")) if file.is_file())
        return {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in every} | self.extra

    def tree(self) -> list[dict[str, object]]:
        """As the hub lists them: weights are large files, named by their sha256."""
        return [_entry(path, content) for path, content in self.files().items()]


def _entry(path: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
    if path.endswith(".safetensors"):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry


class _Server(ThreadingHTTPServer):
    """Knows its hub."""

    daemon_threads = True
    hub: Hub


class _Answerer(BaseHTTPRequestHandler):
    """Answers for the hub of its server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """The headers of a file."""
        self.do_GET()

    def do_GET(self) -> None:
        """The repository, its tree, or a file from where it is asked."""
        hub = self.server.hub
        path = unquote(urlparse(self.path).path)
        api = f"/api/models/{hub.source}"
        if path in (api, f"{api}/revision/main"):
            self._say({"id": hub.source, "sha": COMMIT, "siblings": [{"rfilename": name} for name in hub.files()]})
        elif path == f"{api}/tree/{COMMIT}":
            self._say(hub.tree())
        elif path.startswith(f"/{hub.source}/resolve/"):
            self._file(path.removeprefix(f"/{hub.source}/resolve/").partition("/")[2])
        else:
            self._say({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _say(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json"} | (headers or {}))

    def _file(self, name: str) -> None:
        content = self.server.hub.files().get(name)
        if content is None:
            self._say({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        entry = _entry(name, content)
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        begin = int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        if name == self.server.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self._send(content[begin:], 206 if begin else 200, headers)

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        hub = self.server.hub
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(content) if self.command == "GET" else 0, 65536):
            time.sleep(hub.pause_s)
            try:
                self.wfile.write(content[start : start + 65536])
            except OSError:
                return
            hub.served_bytes += len(content[start : start + 65536])


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """``hub`` at ``hub.url``, which HF_ENDPOINT is to name."""
    server = _Server(("127.0.0.1", 0), _Answerer)
    server.hub = hub
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
