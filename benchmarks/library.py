"""A library of 100,000 clips: how long a page, the last page, a filter and a search take.

Figure: the slowest kind's 95th percentile in milliseconds. Gate: at most 50. Baseline: the same first page with OFFSET
instead of keys, deep in the library.

    python benchmarks/library.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipelines.contract import Clip, GenerationRequest
from pipelines.registry import ModelCatalogue
from studio.services.records import ClipFilter
from studio.settings import Settings
from studio.storage import clips
from studio.storage.database import Database, sqlite3
from studio.studio import Studio

GATE_MS = 50.0
ROWS = 100_000
OWNER = "local"
WORDS = {
    "colours": ["red", "blue", "green", "yellow", "violet", "white", "black", "orange"],
    "things": ["ball", "star", "cube", "ring", "dog", "river", "train", "candle", "violin", "kite"],
    "actions": ["bouncing", "dancing", "spinning", "falling", "singing", "sleeping", "racing"],
    "places": ["on grass", "at night", "in the rain", "under water", "by the sea", "in a hall", "over a city"],
}


def fill(database: Database, rows: int, chance: random.Random) -> None:
    """Put ``rows`` clips of one owner, and a tenth as many of another, into the library."""
    request = ModelCatalogue.with_folders({}).complete(GenerationRequest(prompt="x", seed=1))
    clip = Clip(
        path=Path("clip.mp4"), request=request, model_sha256="0" * 64, code_version="bench", height=128, width=128, num_frames=25,
        frame_rate=12.0, duration_s=25 / 12, has_video=True, has_audio=True, sample_rate=16000, size_bytes=300_000,
        stage_seconds={"encode": 0.1, "denoise": 5.0, "mux": 0.5}, measurements={"loudness_dbfs": -12.5, "movement": 25.2},
    ).model_dump_json(exclude={"path"})  # fmt: skip
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    for start in range(0, rows, 5000):
        with database.write() as connection:
            for number in range(start, min(rows, start + 5000)):
                owner = OWNER if number % 11 else "somebody"
                clips.insert(connection, _row(number, owner, clip, begin, chance))


def _row(number: int, owner: str, clip: str, begin: datetime, chance: random.Random) -> clips.ClipRow:
    colour, thing, action, place = (chance.choice(words) for words in WORDS.values())
    prompt = f"a {colour} {thing} {action} {place} to {chance.choice(WORDS['things'])} take {number}"
    created = (begin + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    tags = ["keeper"] if chance.random() < 0.1 else ["rare"] if chance.random() < 0.001 else []
    return clips.ClipRow(
        id=f"{number:032x}", owner=owner, job_id=None, path=f"clips/{number}.mp4", thumbnail=f"thumbnails/{number}.webp",
        name=prompt[:60], prompt=prompt, tags=json.dumps(tags), favourite=int(chance.random() < 0.02), model="pocket",
        modality=chance.choice(["video_and_audio", "video", "audio"]), size_bytes=300_000, clip=clip, created_at=created,
        deleted_at=created if chance.random() < 0.01 else None,
    )  # fmt: skip


def kinds(studio: Studio, chance: random.Random) -> dict[str, Callable[[], object]]:
    """What people do, by name: each call asks the library service for one page."""
    page = studio.library.page
    cursors = [str(page(OWNER, limit=200).next)]
    for _ in range(40):
        cursors.append(str(page(OWNER, cursor=cursors[-1], limit=200).next))
    search = ClipFilter
    return {
        "first page": lambda: page(OWNER),
        "next page": lambda: page(OWNER, cursor=chance.choice(cursors)),
        "oldest first": lambda: page(OWNER, search(order="oldest")),
        "favourites": lambda: page(OWNER, search(favourite=True)),
        "trash": lambda: page(OWNER, search(deleted=True)),
        "common tag": lambda: page(OWNER, search(tag="keeper")),
        "rare tag": lambda: page(OWNER, search(tag="rare")),
        "sound only": lambda: page(OWNER, search(modality="audio")),
        "search common word": lambda: page(OWNER, search(text=chance.choice(WORDS["colours"]))),
        "search word as typed": lambda: page(OWNER, search(text=chance.choice(WORDS["things"])[:2])),
        "search three words": lambda: page(OWNER, search(text=" ".join(chance.choice(words) for words in WORDS.values()))),
        "search one clip": lambda: page(OWNER, search(text=f"take {chance.randrange(10_000)}")),
        "search nothing": lambda: page(OWNER, search(text="submarine")),
    }


def p95_ms(call: Callable[[], object], times: int) -> float:
    """95th percentile of the call's wall time in milliseconds."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return 1000 * statistics.quantiles(seconds, n=20)[-1]


def with_offset(database: Database, rows: int) -> Callable[[], object]:
    """A deep page the usual way."""

    def call() -> object:
        with database.read() as connection:
            return connection.execute(
                "SELECT * FROM clips WHERE owner = ? AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 24 OFFSET ?",
                (OWNER, int(rows * 0.8)),
            ).fetchall()

    return call


def main() -> None:
    """Fill, ask, print, and leave with 1 when the gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    chance = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio.open(Settings(data_dir=Path(folder), workers=0))
        fill(studio._database, ROWS, chance)
        times = 40 if asked.quick else 200
        measured = {name: round(p95_ms(call, times), 2) for name, call in kinds(studio, chance).items()}
        baseline = round(p95_ms(with_offset(studio._database, ROWS), times), 2)
        size = studio.settings.database_path.stat().st_size
        studio.stop()
    figure = max(measured.values())
    report = {
        "benchmark": "library",
        "figure": figure,
        "unit": "ms, 95th percentile of the slowest kind of page",
        "gate": GATE_MS,
        "pass": figure <= GATE_MS,
        "baseline": {"deep page by OFFSET, ms": baseline},
        "machine": f"{platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "shape": f"{ROWS:,} clips, pages of 24, {times} repeats, database of {size / 1e6:.0f} MB",
        "p95_ms": measured,
    }
    if asked.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:>10}: {value}")
    sys.exit(0 if report["pass"] else 1)


if __name__ == "__main__":
    main()
