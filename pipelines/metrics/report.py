"""One HTML file that shows a report: figures with their bars, clips with their events, loss curves; it loads nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from pipelines.metrics.drawing import Curve, Marks, bar, contact_sheet, loss_curves, spectrogram
from pipelines.metrics.evaluation import ClipRecord, Report
from pipelines.metrics.figures import Figure
from pipelines.metrics.reading import SOUND, pixels_and_samples

_SHOWN_OF_KIND = {"impact": 8, "speech": 8, "dance": 8, "any": 12}
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e22; --soft: #667; --paper: #fff; --card: #f4f5f7; --line: #d9dce1; --bar: #4b7bec;
  --good: #1c8a4a; --bad: #c22f3d; --target: #8854d0; --ceiling: #e08a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --soft: #9aa3b2; --paper: #15171b; --card: #1e2127; --line: #343944;
  --bar: #6c9bff; --good: #4cc27e; --bad: #ff6b78; --target: #b38cff; --ceiling: #ffb347; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 82rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } p, .soft { color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .45rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.bar { width: 11rem; height: .8rem; background: var(--card); vertical-align: middle; } .bar rect { fill: var(--bar); }
.bar line { stroke-width: 1.5; vector-effect: non-scaling-stroke; } line.floor { stroke: var(--bad); }
line.target { stroke: var(--target); } line.chance { stroke: var(--soft); }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: 1rem; }
figure { margin: 0; padding: .7rem; background: var(--card); border-radius: .5rem; } figcaption { margin-bottom: .4rem; }
figure img, figure svg { width: 100%; height: auto; display: block; margin: .25rem 0; border-radius: .2rem; }
svg .seen { stroke: #7cf3ff; stroke-width: 2; } svg .heard { stroke: #fff; stroke-width: 2; }
svg .truth { stroke: #7dff8a; stroke-width: 2; } svg text { stroke: none !important; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg text.seen { fill: #7cf3ff; } svg text.heard { fill: #fff; } svg text.truth { fill: #7dff8a; }
polyline { fill: none; } .raw { stroke: var(--line); } .smooth { stroke: var(--bar); stroke-width: 2; }
"""


def write_html(report: Report, path: Path, logs: Path) -> None:
    """Write ``report`` to ``path``; its clips' files must still be there, training logs in ``logs`` may be."""
    body = "".join((_head(report), _figures(report), _clips(report), _curves(logs)))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(report.model)}: evaluation</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _head(report: Report) -> str:
    verdict = '<b class="good">all floors hold</b>' if report.passed else '<b class="bad">not all floors hold</b>'
    return (
        f"<h1>{escape(report.model)}</h1><p>{report.clips} clips in {report.seconds:.0f} s: {verdict}. "
        f"Weights {report.model_sha256[:12]}, code {escape(report.code_version)}; {escape(report.seeds)}.</p>"
        "<p>Everything is read from finished MP4 files. <b>Renders</b> are the true clips in such files, the <b>ceiling</b> is "
        "the true clips after the model's picture and sound codecs, <b>model</b> is what it made of the captions. A "
        "<b>control</b> is the ceiling's picture with another clip's sound: it has to be near chance.</p>"
    )


def _figures(report: Report) -> str:
    names = ("measure", "renders", "ceiling", "model", "of ceiling", "", "floor", "target", "chance", "control", "")
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = "".join(_row(figure) for figure in report.figures)
    return (
        f'<h2>Figures</h2><div class="wide"><table><tr>{head}</tr>{rows}</table></div>'
        "<p>The bar is what is judged: the share of the ceiling, or the score itself. Red tick: floor; violet: target.</p>"
    )


def _row(figure: Figure) -> str:
    most = max(1.0, 1.1 * (figure.target or 1.0)) if figure.judged != "reported" else 1.0
    ticks = [(kind, at) for kind, at in (("floor", figure.floor), ("target", figure.target)) if at is not None]
    drawn = bar(figure.judged_value, ticks, most) if figure.judged != "reported" else ""
    verdict = "" if figure.judged == "reported" else '<span class="good">holds</span>' if figure.holds else ""
    verdict = verdict or ("" if figure.judged == "reported" else '<span class="bad">below</span>')
    if not figure.control_holds:
        verdict = '<span class="bad">control too high</span>'
    cells = (
        escape(figure.name), _number(figure.renders), _number(figure.ceiling), _number(figure.model, figure.unit),
        _number(figure.share), drawn, _number(figure.floor), _number(figure.target), _number(figure.chance),
        _number(figure.control), verdict,
    )  # fmt: skip
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _number(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.2f} {unit}".strip()


def _clips(report: Report) -> str:
    titles = {"impact": "Impacts", "speech": "Speech", "dance": "Dances", "any": "Everything else"}
    parts = []
    for kind, most in _SHOWN_OF_KIND.items():
        chosen = [record for record in report.records if record.kind == kind][:most]
        if chosen:
            parts.append(f'<h2>{titles[kind]}</h2><div class="clips">{"".join(map(_clip, chosen))}</div>')
    return "".join(parts)


def _clip(record: ClipRecord) -> str:
    """The made clip with what is read in it, above the ceiling's with the true events."""
    said = " ".join(_reading(record))
    score = "" if record.agreement is None else f" Agreement {record.agreement:.2f}."
    unseen = " Combination never seen in training." if record.is_unseen else ""
    pictures = "".join(_pictures(record, name) for name in ("model", "ceiling"))
    caption = f'<b>{escape(record.prompt)}</b><br><span class="soft">{said}.{score}{unseen}</span>'
    return f"<figure><figcaption>{caption}</figcaption>{pictures}</figure>"


def _reading(record: ClipRecord) -> Iterator[str]:
    for name, wanted in record.asked.items():
        found = record.read[name]
        kind = "good" if set(found) == set(wanted) else "bad"
        yield f'<span class="{kind}" title="{escape(name)}">{escape(" and ".join(found))}</span>'


def _pictures(record: ClipRecord, name: str) -> str:
    frames, waveform, _ = pixels_and_samples(Path(record.files[name]))
    drawn = spectrogram(waveform, SOUND.sample_rate, _marks(record, name), _speech(record, name))
    return f'<span class="soft">{name}</span><img alt="frames of the {name}" src="{contact_sheet(frames)}">{drawn}'


def _marks(record: ClipRecord, name: str) -> list[Marks]:
    if record.kind == "speech":
        return []
    seen = "motion peaks" if record.kind == "dance" else "contacts seen"
    marks = [Marks(seen, "seen", record.seen_s[name]), Marks("onsets heard", "heard", record.heard_s[name])]
    return [*marks, Marks("true events", "truth", record.truth_s)] if name == "ceiling" else marks


def _speech(record: ClipRecord, name: str) -> list[Curve]:
    if record.kind != "speech":
        return []
    return [Curve("mouth seen", "seen", record.mouth[name]), Curve("loudness heard", "heard", record.loudness[name])]


def _curves(logs: Path) -> str:
    drawn = "".join(
        f"<figure><figcaption>{escape(stage)}: loss</figcaption>{curve}</figure>" for stage, curve in loss_curves(logs).items()
    )
    return f'<h2>Training</h2><div class="clips">{drawn}</div>' if drawn else ""
