"""Fetches a model of the hub, as a process of its own: killed, it goes on where it was once it is started again.

``python -m pipelines.models.fetch HUB/ID PATTERN ...`` fetches the files of these patterns. It says what happens in lines of
JSON on its standard output: ``total`` bytes, bytes ``checked`` once all are here, then ``done``, or a ``fault`` in one sentence.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from pipelines.models.installed import UNCHECKED, UNFINISHED_FILE, blocks, cache_of, named_by_hash


class NotFetched(Exception):
    """What went wrong, as a person is told."""


def on_disk_bytes(source: str) -> int:
    """Bytes of a hub id that were fetched so far, unfinished files included."""
    try:
        return sum(file.stat().st_size for file in (cache_of(source) / "blobs").iterdir())
    except OSError:  # none yet, or one was renamed just now
        return 0


def free_bytes(source: str) -> int:
    """Room on the disk that the files of a hub id would come to."""
    home = cache_of(source)
    return shutil.disk_usage(next(folder for folder in (home, *home.parents) if folder.exists())).free


def _fetch(source: str, patterns: list[str]) -> None:
    """Raises ``NotFetched``, or ``OSError`` of the disk."""
    from huggingface_hub import snapshot_download

    files = listed(source, patterns)
    home = cache_of(source)
    total = sum(file.file_size or 0 for file in files)
    coming = sum(file.file_size or 0 for file in files if file.will_download)
    left = max(0, coming - sum(file.stat().st_size for file in home.glob("blobs/*.incomplete")))
    free = free_bytes(source)
    if left > free:
        raise NotFetched(f"disk has {free / 1e9:.3g} GB free, and {left / 1e9:.3g} GB are to be fetched: free some space.")
    home.mkdir(parents=True, exist_ok=True)
    names = [file.filename for file in files]
    (home / UNFINISHED_FILE).write_text(json.dumps([*names, UNCHECKED]), encoding="utf-8")
    _say("total", total)
    try:
        folder = Path(snapshot_download(source, allow_patterns=patterns))
    except OSError as error:
        if error.errno is not None:
            raise
        raise NotFetched("the hub stopped answering: install again, it goes on where it was.") from None
    _check(folder)
    (home / UNFINISHED_FILE).unlink()


def _check(folder: Path) -> None:
    """Compare large files with the sha256 that the hub names them by; a damaged one goes, so that it is fetched anew."""
    files, checked = named_by_hash(folder), 0
    _say("checked", checked)
    for file in files:
        hashed = hashlib.sha256()
        for block in blocks(file):
            hashed.update(block)
            checked += len(block)
            _say("checked", checked)
        held = file.resolve()
        if hashed.hexdigest() != held.name:
            file.unlink()
            held.unlink()
            raise NotFetched(f"{file.relative_to(folder)} came damaged (its sha256 differs) and was thrown away: install again.")


def listed(source: str, patterns: list[str]) -> list[Any]:
    """The files to have, each with its size and whether it is to come. Raises ``NotFetched``."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError, GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    page = f"https://huggingface.co/{source}"
    try:
        return list(snapshot_download(source, allow_patterns=patterns, dry_run=True))
    except (DryRunError, HfHubHTTPError, HFValidationError) as error:
        cause = error.__cause__ if isinstance(error, DryRunError) else error
        if isinstance(cause, GatedRepoError):
            raise NotFetched(f"{source} wants its licence accepted at {page}; then run `hf auth login`.") from None
        if isinstance(cause, (RepositoryNotFoundError, HFValidationError)):
            raise NotFetched(f"{source} is not known to the hub, or not open to you: see {page}.") from None
        raise NotFetched("the hub cannot be reached: check the connection and try again.") from None


def _say(name: str, value: object) -> None:
    sys.stdout.write(json.dumps({name: value}) + "\n")
    sys.stdout.flush()


def main(source: str, patterns: list[str]) -> int:
    """Exit status 0 once the model is here."""
    try:
        _fetch(source, patterns)
    except NotFetched as fault:
        _say("fault", str(fault))
        return 1
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        _say("fault", "disk is full: free some space and install again." if full else f"the files could not be kept ({error}).")
        return 1
    _say("done", True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
