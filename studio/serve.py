"""Keeps a studio open at an address until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import webbrowser
from types import FrameType

import typer
import uvicorn

from pipelines.contract import Conflict
from studio.settings import Settings
from studio.studio import Studio


def serve(settings: Settings, *, share: bool, open_browser: bool) -> None:
    """Serve until SIGINT or SIGTERM, then let running jobs finish for ``drain_s``.

    Raises ``Conflict`` for a taken port, and what ``Studio.open`` raises.
    """
    signal.signal(signal.SIGTERM, _leave)
    if share:
        return _serve_shared(settings)
    listening = _listen(settings)
    bound = settings.model_copy(update={"port": listening.getsockname()[1]})
    typer.echo("Opening the studio ...", err=True)
    from studio.web import LAST_ANSWERS_S, create_app

    app = create_app(bound)
    config = uvicorn.Config(
        app, lifespan="on", log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=LAST_ANSWERS_S
    )
    try:
        _Announcing(config, bound.address, open_browser).run(sockets=[listening])
    except KeyboardInterrupt:
        typer.echo("The studio is closed; waiting jobs go on when it opens again.", err=True)


class _Announcing(uvicorn.Server):
    """Says where the studio is once it can be reached there."""

    def __init__(self, config: uvicorn.Config, address: str, open_browser: bool) -> None:
        super().__init__(config)
        self._address = address
        self._open_browser = open_browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, then the announcement."""
        await super().startup(sockets)
        if self.started:
            typer.echo(f"AIPROD Studio is open at {self._address}  (API: {self._address}/docs, stop with Ctrl-C)")
            if self._open_browser and _has_screen():
                threading.Thread(target=webbrowser.open, args=(self._address,), daemon=True).start()


def _serve_shared(settings: Settings) -> None:
    """The page through gradio's tunnel; visitors that come by the link are guests with libraries of their own."""
    from studio.web import LAST_ANSWERS_S, create_demo

    demo = create_demo(Studio.open(settings), shared=True)
    try:
        demo.launch(share=True, prevent_thread_lock=True)
        demo.server.config.timeout_graceful_shutdown = LAST_ANSWERS_S
        threading.Event().wait()
    except KeyboardInterrupt:
        typer.echo("The studio is closed.", err=True)
    finally:
        demo.close(verbose=False)
        if demo.is_running is False and getattr(demo, "server", None):
            demo.server.thread.join(settings.drain_s + 10)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise Conflict(
            f"port {settings.port} on {settings.host} cannot be used ({error.strerror}); choose another with --port or --host.",
            field="port",
        ) from None
    return listening


def _has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
