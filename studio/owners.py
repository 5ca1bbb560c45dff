"""Whose things a request is about: the local person, the signed-in Hugging Face user, or a guest with a signed cookie.

On one person's machine everything belongs to ``Settings.local_owner``. Where strangers share one studio (a hosted
Space, a share link) nobody may see another's clips, so everyone without a sign-in gets a random identity of their own.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.settings import Settings

COOKIE = "studio_guest"
_YEAR_S = 365 * 24 * 3600
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# A tunnel or a proxy leaves at least one of these on what it passes on.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def owner_of(request: Request) -> str:
    """Who the request comes from: ``local_owner``, ``hf:<subject>`` or ``guest:<random>``.

    Raises ``LookupError`` for a request that did not pass ``OwnerMiddleware``: no owner is better than a wrong one.
    """
    owner = str(request.scope["studio.owner"])
    return _signed_in(request.scope) or owner if request.scope["studio.hosted"] else owner


def _signed_in(scope: Scope) -> str | None:
    """The Hugging Face user of gradio's OAuth session, where there is one that has not run out."""
    # Without the Space's secret gradio signs its session with a constant that anybody can look up.
    if not os.environ.get("OAUTH_CLIENT_SECRET"):
        return None
    signed = scope.get("session", {}).get("oauth_info") or {}
    subject = (signed.get("userinfo") or {}).get("sub")
    if not subject or float(signed.get("expires_at", 0)) < time.time():
        return None
    return f"hf:{subject}"


class OwnerMiddleware:
    """Writes the owner of every request into its scope; makes guests where strangers may come."""

    def __init__(self, app: ASGIApp, settings: Settings, *, shared: bool = False) -> None:
        self._app = app
        self._settings = settings
        self._shared = shared
        self._key = _guest_key(settings.data_dir) if shared or settings.is_space else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with ``studio.owner`` and ``studio.hosted`` in its scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope["studio.hosted"] = self._settings.is_space
        if not self._settings.is_space and (not self._shared or _from_here(headers)):
            scope["studio.owner"] = self._settings.local_owner
            await self._app(scope, receive, send)
            return
        guest = self._known_guest(headers.get("cookie", ""))
        minted = guest or secrets.token_urlsafe(18)
        scope["studio.owner"] = f"guest:{minted}"

        async def send_with_cookie(message: Message) -> None:
            if guest is None and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"set-cookie", self._cookie(minted).encode())]}
            await send(message)

        await self._app(scope, receive, send_with_cookie)

    def _known_guest(self, cookies: str) -> str | None:
        try:
            morsel = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            return None
        guest, _, signature = (morsel.value if morsel else "").rpartition(".")
        return guest if guest and hmac.compare_digest(signature, self._sign(guest)) else None

    def _sign(self, guest: str) -> str:
        return hmac.new(self._key, guest.encode(), hashlib.sha256).hexdigest()

    def _cookie(self, guest: str) -> str:
        # A Space's page is framed by huggingface.co, where browsers keep only cookies that say they are for such frames.
        place = "SameSite=None; Partitioned" if self._settings.is_space else "SameSite=Lax"
        return f"{COOKIE}={guest}.{self._sign(guest)}; Path=/; Max-Age={_YEAR_S}; HttpOnly; Secure; {place}"


def _from_here(headers: Headers) -> bool:
    """Whether a request came straight from this machine, and not through a tunnel."""
    return host_name(headers.get("host", "")) in _LOOPBACK and not any(name in headers for name in _FORWARDED)


def host_name(host: str) -> str:
    """The name in a Host header, lower case, without port and IPv6 brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _guest_key(data_dir: Path) -> bytes:
    """The secret that guests' cookies are signed with, kept beside the database so that guests outlive a restart."""
    path = data_dir / "guest.key"
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(handle, "wb") as stream:
        stream.write(key := secrets.token_bytes(32))
    return key
