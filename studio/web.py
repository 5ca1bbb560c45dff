"""The two doors to one studio: an ASGI app for uvicorn, and a page with ``launch()`` for a hosted Space or a share link.

Both hold the same routes, and in both ``FrontDoor`` stands outermost: gradio adds middleware of its own around whatever
it is given, so the guard has to be put around the finished app.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from studio.api import PREFIX, create_api, reference
from studio.front import FrontDoor
from studio.owners import OwnerMiddleware
from studio.settings import Settings
from studio.studio import Studio

VERSION = "0.1.0"
_INFO: dict[str, Any] = {
    "title": "AIPROD Studio",
    "version": VERSION,
    "description": "A prompt becomes a clip with sound: hand in requests, watch them, keep what comes out.",
}
# Open event streams would hold the door for ever; the page comes back for its events by itself.
LAST_ANSWERS_S = 2
# What gradio keeps for its own components is swept away every hour, a day old; clips never lie there.
_CACHE_SWEEP_S, _CACHE_AGE_S = 3600, 86400


class _Guarded(FastAPI):
    """A FastAPI app that nobody reaches but through the front door."""

    front: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Every request, as the front door lets it in."""
        scope["app"] = self
        await self.front(scope, receive, send)


def create_app(settings: Settings | None = None, studio: Studio | None = None) -> FastAPI:
    """Page and API on one studio, which starts and stops with the app's lifespan.

    Raises what ``Studio.open`` raises when it opens the studio itself.
    """
    studio = studio or Studio.open(settings or Settings())
    app = _Guarded(**_INFO, docs_url=None, redoc_url=None, lifespan=_lifespan(studio))
    app.include_router(_routes(studio, app))
    app.front = _fronted(super(_Guarded, app).__call__, studio)
    _mount_page(app, studio)
    return app


def create_demo(studio: Studio, *, shared: bool = False) -> Any:
    """The page whose ``launch()`` serves the API as well; ``shared`` makes strangers guests. The studio starts with it."""
    import gradio as gr
    from gradio.utils import get_space

    from studio.ui import build_page, page_options

    class Hosted(gr.Blocks):
        """The page with its own way to start."""

        def launch(self, *arguments: Any, **options: Any) -> Any:
            """As gradio's, with the studio's routes, guard and limits in place."""
            defaults = {
                **_page_limits(studio),
                **page_options(),
                "server_name": studio.settings.host,
                "server_port": studio.settings.port,
            }
            if studio.settings.is_space:
                defaults["server_name"] = "0.0.0.0"
            app = _hosted_app(studio, shared)
            chosen = {**defaults, **options, "_app": app, "app_kwargs": {"lifespan": _lifespan(studio)}}
            return super().launch(*arguments, **{**chosen, "strict_cors": True})

        def block_thread(self) -> None:
            """As gradio's, but SIGTERM ends it too, and running jobs may finish for ``drain_s``."""
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, signal.default_int_handler)
            self.server.config.timeout_graceful_shutdown = LAST_ANSWERS_S
            super().block_thread()
            self.server.thread.join(studio.settings.drain_s + 10)

    _quiet_gradio()
    page = build_page(studio)
    if get_space() is not None and os.environ.get("OAUTH_CLIENT_SECRET"):
        # Anywhere else gradio's button signs everybody in as the same made-up person.
        with page:
            gr.LoginButton(size="sm", elem_id="sign-in")
    # gradio's launch takes an app of ours, but a Space and its tools call launch() without arguments.
    page.__class__ = Hosted
    page.delete_cache = (_CACHE_SWEEP_S, _CACHE_AGE_S)
    page.queue(max_size=1500, status_update_rate=10, api_open=False)
    return page


def _hosted_app(studio: Studio, shared: bool) -> Any:
    """gradio's app with our routes first and the front door around it."""
    from gradio.routes import App

    class HostedApp(App):
        """As ``_Guarded``, for the app that gradio fills."""

        front: ASGIApp

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            """Every request, as the front door lets it in."""
            scope["app"] = self
            await self.front(scope, receive, send)

    app = HostedApp(**_INFO)
    # The schema is that of our routes alone, so they are gathered in an app of their own.
    described = FastAPI(**_INFO)
    described.include_router(create_api(lambda: studio))
    app.include_router(_routes(studio, described))
    app.front = _fronted(super(HostedApp, app).__call__, studio, shared=shared)
    return app


def _fronted(app: ASGIApp, studio: Studio, *, shared: bool = False) -> ASGIApp:
    return FrontDoor(OwnerMiddleware(_packed(app), studio.settings, shared=shared), studio.settings, shared=shared)


def _packed(app: ASGIApp) -> ASGIApp:
    """The page's own text goes out compressed, 100 KB instead of 460 with its scripts. Downloads keep telling their length."""
    packed = GZipMiddleware(app, minimum_size=1024, compresslevel=6)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = app if scope["type"] == "http" and scope["path"].startswith(PREFIX) else packed
        await chosen(scope, receive, send)

    return answer


def _routes(studio: Studio, described: FastAPI) -> APIRouter:
    """The API, and the pages that describe it; ``described`` knows the schema."""
    router = create_api(lambda: studio)

    @router.get("/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        """The API for machines."""
        return described.openapi()

    @router.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    def docs() -> str:
        """The API for people."""
        return reference.page(described.openapi())

    return router


def _lifespan(studio: Studio) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        studio.start()
        studio.announce()
        try:
            yield
        finally:
            studio.stop()

    return life


def _page_limits(studio: Studio) -> dict[str, Any]:
    """What keeps gradio from serving or telling more than the page needs."""
    return {
        "allowed_paths": [],
        "blocked_paths": [str(studio.settings.data_dir.resolve())],
        "max_file_size": studio.settings.max_upload_bytes,
        "show_error": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "run_history": False,
    }


def _mount_page(app: FastAPI, studio: Studio) -> None:
    import gradio as gr

    from studio.ui import build_page, page_options

    _quiet_gradio()
    page = build_page(studio)
    page.delete_cache = (_CACHE_SWEEP_S, _CACHE_AGE_S)
    page.queue(max_size=1500, status_update_rate=10, api_open=False)
    gr.mount_gradio_app(app, page, path="/", pwa=False, mcp_server=False, **{**_page_limits(studio), **page_options()})


def _quiet_gradio() -> None:
    """No counting of visits, no look at gradio's news: the studio talks to nobody."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
