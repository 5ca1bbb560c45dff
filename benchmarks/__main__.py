"""Every benchmark of this folder, one after another, and one page of what they found.

    python -m benchmarks [--quick] [--only NAME ...] [--page docs/benchmarks.md] [--json docs/benchmarks.json]

Each script runs in a process of its own with ``--json``; the page has figure, gate, baseline, shape and command of each, the JSON
their reports as they are. A script that is not run keeps what the JSON has of it. Exits 1 when one misses its gate or breaks.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
LONGEST_S = 7200.0
CANNOT = 2
"""Exit status of a script that needs what this machine has not; that is told, and is no failure."""
_HEAD = """# What the benchmarks found

Written by `make bench` (`python -m benchmarks`); every row is one script, which prints the same when it is run alone. A gate that
is missed is shown as it is. Speed is always a ratio of two ways in one run on one machine. `--quick` means a shorter run with
wider chance. On a rented machine others may take part of the processor: how much while a script ran is told where it is known,
and from a tenth on small differences mean nothing.

| benchmark | claim | figure | gate | holds | shape, machine, command, date |
|---|---|---|---|---|---|
"""


def scripts() -> list[str]:
    """The names of all benchmarks."""
    return sorted(file.stem for file in HERE.glob("*.py") if not file.stem.startswith("_"))


def run(name: str, *, quick: bool) -> dict[str, Any]:
    """The report of one benchmark, or why there is none."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", *(["--quick"] if quick else [])]
    started, before = time.monotonic(), processor()
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
        report: dict[str, Any] = json.loads(lines[-1]) if lines else {"problem": last_line(ended.stderr)}
        if not lines and ended.returncode == CANNOT:
            report["cannot"] = True
    except subprocess.TimeoutExpired:
        report = {"problem": f"not done after {LONGEST_S:g} s"}
    taken = stolen(before, processor())
    return (
        report
        | ({} if taken is None else {"stolen": round(taken, 3)})
        | {
            "command": f"python benchmarks/{name}.py" + (" --quick" if quick else ""),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "took_s": round(time.monotonic() - started, 1),
        }
    )


def processor() -> list[int]:
    """Times of the whole processor by what it did, in ticks, as Linux counts them; empty elsewhere."""
    try:
        return [int(part) for part in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return []


def stolen(before: list[int], after: list[int]) -> float | None:
    """Of the time that was wanted between two readings, the share that the machine's host gave to others."""
    if len(before) < 8 or len(after) < 8:
        return None
    user, nice, system, _, _, irq, softirq, steal = (b - a for a, b in zip(before, after, strict=True))
    wanted = user + nice + system + irq + softirq + steal
    return steal / wanted if wanted else 0.0


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it printed nothing")[:300]


def claim_of(name: str) -> str:
    """What a script says that it shows: the first sentence of its docstring."""
    said = (HERE / f"{name}.py").read_text(encoding="utf-8").split('"""')[1]
    return " ".join(said.split("\n\n")[0].removeprefix("Claim: ").split())


def in_words(value: Any) -> str:
    """A figure, a mapping or a list as a few words."""
    if isinstance(value, dict):
        return "; ".join(f"{name}: {in_words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def row(name: str, report: dict[str, Any]) -> str:
    """One line of the page's table."""
    held = "yes" if report.get("pass") else "not measured" if report.get("cannot") else "**no**"
    found = report.get("problem") or in_words(report.get("figure", ""))
    where = f"{in_words(report.get('shape', ''))}. {report.get('machine', '')}. `{report['command']}`, {report['date']}"
    if "stolen" in report:
        where += f" ({report['stolen']:.0%} of the processor went to others)"
    cells = (name, claim_of(name), found, in_words(report.get("gate", "")), held, where)
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def main() -> int:
    """Run, write, and tell; 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="each within a minute or so")
    parser.add_argument("--only", nargs="+", default=scripts(), choices=scripts(), metavar="NAME", help="these only")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--json", type=Path, default=ROOT / "docs" / "benchmarks.json")
    options = parser.parse_args()
    known: dict[str, dict[str, Any]] = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    for name in options.only:
        report = known[name] = run(name, quick=options.quick)
        outcome = "holds" if report.get("pass") else "cannot be measured here" if report.get("cannot") else "DOES NOT HOLD"
        print(f"{name}: {outcome}, {report['took_s']} s", flush=True)
        kept = {each: known[each] for each in scripts() if each in known}  # what has no script any more goes
        options.json.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        options.page.write_text(_HEAD + "\n".join(row(each, kept[each]) for each in kept) + "\n", encoding="utf-8")
    failed = [name for name in options.only if not (known[name].get("pass") or known[name].get("cannot"))]
    print(f"{platform.machine()}, {os.cpu_count()} CPUs: " + (f"not held: {', '.join(failed)}" if failed else "all hold"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
