"""What a person does on the page, in their words; and what they must never see: script errors, requests to other hosts."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from tests.e2e.server import ROOT

SCREENSHOTS = ROOT / "docs" / "screenshots"
DONE_MS = 240_000
SOON_MS = 60_000
"""For what a person sees at once on a machine that is their own; one that is shared may take its time."""


class Visitor:
    """One browser profile with any number of tabs."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1440, height: int = 900, colours: Any = "dark") -> None:
        self.url = url
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=colours, accept_downloads=True
        )
        self.context.set_default_timeout(SOON_MS)
        self.faults: list[str] = []
        self.expected: tuple[str, ...] = ()
        self.opened_in_s = 0.0
        self.page = self.tab()

    def tab(self) -> Page:
        """A new tab on the page, ready to use."""
        page = self.context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("request", self._asked)
        began = time.monotonic()
        page.goto(self.url)
        expect(page.locator("#generate")).to_be_enabled()
        expect(page.locator(".notice h2, .screen video:not([hidden]), .screen .preview:not([hidden])").first).to_be_visible()
        self.opened_in_s = time.monotonic() - began
        self.page = page
        return page

    def photograph(self, name: str, part: Locator | None = None) -> None:
        """A picture of the page, or of a part of it, for the documentation; only where ``STUDIO_SCREENSHOTS`` asks for it."""
        if os.environ.get("STUDIO_SCREENSHOTS") == "1":
            self.page.wait_for_timeout(600)
            (part or self.page).screenshot(path=SCREENSHOTS / f"{name}.png")

    def leave(self) -> None:
        """Close everything; fails on anything that went wrong meanwhile."""
        self.context.close()
        unexpected = [fault for fault in self.faults if not any(words in fault for words in self.expected)]
        assert unexpected == [], unexpected

    def api(self, path: str, method: str = "GET", body: object = None) -> Any:
        """A call of the API with this person's cookies."""
        data = None if body is None else json.dumps(body)
        answer = self.context.request.fetch(
            f"{self.url}/api/v1{path}",
            method=method,
            data=data,
            headers={"Content-Type": "application/json"},
            timeout=DONE_MS,  # a clip may be measured anew, by a process that has to start
        )
        assert answer.ok, answer.text()
        return answer.json()

    def write(self, prompt: str) -> None:
        """Type the prompt."""
        self.page.locator("#field-prompt textarea").fill(prompt)

    def await_form(self, **values: object) -> None:
        """Until the form has taken these: Gradio does so a moment after a field is left."""
        taken = """wanted => {
            const form = JSON.parse(localStorage.getItem('studio.draft') ?? '{}');
            return Object.entries(wanted).every(([name, value]) => String(form[name]) === value);
        }"""
        self.page.wait_for_function(taken, arg={name: str(value) for name, value in values.items()})

    def set_steps(self, steps: int) -> None:
        """Unfold Advanced and set the number of steps; on a busy machine the unfolding field may miss a first, hasty try."""
        if not self.page.locator("#field-num_inference_steps").is_visible():
            self.page.locator("#advanced > button").click()
        taken = "() => JSON.parse(localStorage.getItem('studio.draft') ?? '{}').num_inference_steps"
        end = time.monotonic() + SOON_MS / 1000
        while self.page.evaluate(taken) != steps:
            assert time.monotonic() < end, "the form does not take the steps"
            self.page.locator("#field-num_inference_steps input").fill(str(steps))
            self.page.locator("#field-num_inference_steps input").blur()
            self.page.wait_for_timeout(300)

    def take_long(self) -> None:
        """A larger clip in 200 steps: long enough to look away from, and to cancel."""
        self.page.locator("#field-size input").fill("256 x 256")
        self.page.locator("#field-size input").blur()
        self.set_steps(200)

    def generate(self) -> dict[str, Any]:
        """Press Generate; the job that came of it."""
        before = {job["id"] for job in self.api("/jobs")}
        self.page.locator("#generate").click()
        end = time.monotonic() + SOON_MS / 1000
        while time.monotonic() < end:
            fresh = [job for job in self.api("/jobs") if job["id"] not in before]
            if fresh:
                return dict(fresh[0])
            self.page.wait_for_timeout(100)
        raise AssertionError(f"no job came of it: {self.page.locator('.complaint, .toast').all_inner_texts()}")

    def await_clip(self) -> None:
        """Until the player shows a finished clip."""
        expect(self.page.locator(".screen video").first).to_be_visible(timeout=DONE_MS)

    def make_clip(self, prompt: str) -> dict[str, Any]:
        """A clip from this prompt with the model's own settings, by the API: for tests that are about something else."""
        return self.result_of(self.api("/jobs", "POST", {"kind": "generate", "prompt": prompt, "num_inference_steps": 2}))

    def result_of(self, job: dict[str, Any]) -> dict[str, Any]:
        """What a job makes, once it has."""
        end = time.monotonic() + DONE_MS / 1000
        while job["state"] in ("queued", "running") and time.monotonic() < end:
            time.sleep(0.3)
            job = self.api(f"/jobs/{job['id']}")
        assert job["state"] == "done", job["error"]
        return dict(job["result"])

    def open_library(self) -> None:
        """Go to the Library tab."""
        self.page.get_by_role("tab", name="Library").click()
        expect(self.page.locator(".library .tools")).to_be_visible()

    def overflows(self) -> bool:
        """Whether the page can be pushed sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.faults.append(f"asked another host: {request.url}")
