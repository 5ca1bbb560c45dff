"""A cut for other editors: an OpenTimelineIO bundle (``.otioz``), or Final Cut Pro XML with its media in a ZIP.

Every time is a whole number of frames, or of a frame's fraction of a second: nothing is rounded that an editor counts.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import opentimelineio as otio

from pipelines.clip_io import FILE_SAMPLE_RATE
from studio.timelines.cut import Cut, Footage, Piece

_OTIOZ_VERSION = "1.0.0"


def media_names(cut: Cut) -> dict[str, str]:
    """Where each take lies beside the timeline, by its id: named after the first shot that shows it."""
    names: dict[str, str] = {}
    for number, piece in enumerate(cut.pieces, 1):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", piece.name).strip("-.")[:40] or "shot"
        names.setdefault(piece.footage.id, f"media/{number:03}-{plain}-{piece.footage.id[:8]}.mp4")
    return names


def write_otioz(cut: Cut, path: Path) -> None:
    """OTIO's own bundle: ``content.otio``, ``version.txt`` and the media, ready for every program that reads OTIO."""
    names = media_names(cut)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("content.otio", otio_text(cut, names), zipfile.ZIP_DEFLATED)
        archive.writestr("version.txt", _OTIOZ_VERSION)
        _add_media(archive, cut, names)


def write_fcpxml(cut: Cut, path: Path) -> None:
    """A ZIP of ``<name>.fcpxml`` and the media that it refers to."""
    names = media_names(cut)
    plain = re.sub(r"[^A-Za-z0-9._ -]+", "", cut.name)[:80].strip() or "project"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{plain}.fcpxml", fcpxml_text(cut, names), zipfile.ZIP_DEFLATED)
        _add_media(archive, cut, names)


def _add_media(archive: zipfile.ZipFile, cut: Cut, names: Mapping[str, str]) -> None:
    for footage in {piece.footage.id: piece.footage for piece in cut.pieces}.values():
        archive.write(footage.path, names[footage.id])


def otio_text(cut: Cut, names: Mapping[str, str]) -> str:
    """The cut as OTIO JSON: a picture track and a sound track, each shot in frames of its own take; prompts as metadata."""
    timeline = otio.schema.Timeline(name=cut.name, global_start_time=otio.opentime.RationalTime(0, float(cut.lead.rate)))
    kinds = ((otio.schema.TrackKind.Video, "Picture"), (otio.schema.TrackKind.Audio, "Sound"))
    for kind, name in kinds:
        track = otio.schema.Track(name=name, kind=kind)
        for piece in cut.pieces:
            has_it = piece.footage.has_video if kind == otio.schema.TrackKind.Video else piece.footage.has_audio
            track.append(_otio_clip(piece, names) if has_it else otio.schema.Gap(source_range=_range(piece, 0)))
        timeline.tracks.append(track)
    return str(timeline.to_json_string(indent=2))


def _otio_clip(piece: Piece, names: Mapping[str, str]) -> otio.schema.Clip:
    footage = piece.footage
    whole = Piece(piece.name, footage, 0, footage.num_frames)
    reference = otio.schema.ExternalReference(target_url=names[footage.id], available_range=_range(whole, 0))
    about = {"aiprod": {"clip": footage.id, "prompt": footage.prompt}}
    return otio.schema.Clip(name=piece.name, media_reference=reference, source_range=_range(piece, piece.first), metadata=about)


def _range(piece: Piece, first: int) -> otio.opentime.TimeRange:
    rate = float(piece.footage.rate)
    return otio.opentime.TimeRange(otio.opentime.RationalTime(first, rate), otio.opentime.RationalTime(piece.count, rate))


def fcpxml_text(cut: Cut, names: Mapping[str, str]) -> str:
    """The cut as FCPXML 1.10: one asset a take, one clip a shot in the spine, on frame boundaries of the sequence.

    Written by hand: the adapter for OTIO had its only release in 2023 and stops at older versions of the format.
    """
    root = ElementTree.Element("fcpxml", version="1.10")
    resources = ElementTree.SubElement(root, "resources")
    formats: dict[tuple[int, int, Fraction], str] = {}
    assets: dict[str, str] = {}
    for footage in (cut.lead, *(piece.footage for piece in cut.pieces)):
        shape = (footage.width, footage.height, footage.rate)
        if shape not in formats and (footage.has_video or footage is cut.lead):
            formats[shape] = f"r{len(formats) + len(assets) + 1}"
            _format(resources, formats[shape], footage)
        if footage.id not in assets:
            assets[footage.id] = f"r{len(formats) + len(assets) + 1}"
            _asset(resources, assets[footage.id], footage, formats.get(shape), names[footage.id])
    event = ElementTree.SubElement(ElementTree.SubElement(root, "library"), "event", name=cut.name)
    project = ElementTree.SubElement(event, "project", name=cut.name)
    rate = cut.lead.rate
    total = sum(count for _, count in cut.spans)
    described = {"format": formats[cut.lead.width, cut.lead.height, rate], "duration": seconds(total / rate), "tcStart": "0s"}
    sequence = ElementTree.SubElement(
        project, "sequence", {**described, "tcFormat": "NDF", "audioLayout": "stereo", "audioRate": "48k"}
    )
    spine = ElementTree.SubElement(sequence, "spine")
    for piece, (begin, count) in zip(cut.pieces, cut.spans, strict=True):
        if count:
            place = {"offset": seconds(begin / rate), "start": seconds(piece.start), "duration": seconds(count / rate)}
            ElementTree.SubElement(
                spine, "asset-clip", {"ref": assets[piece.footage.id], "name": piece.name, **place, "tcFormat": "NDF"}
            )
    ElementTree.indent(root, " ")
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{body}\n'


def _format(resources: ElementTree.Element, name: str, footage: Footage) -> None:
    told = {"id": name, "frameDuration": seconds(1 / footage.rate), "width": str(footage.width), "height": str(footage.height)}
    ElementTree.SubElement(resources, "format", {**told, "colorSpace": "6-1-6 (Rec. 601 (NTSC))"})


def _asset(resources: ElementTree.Element, name: str, footage: Footage, shape: str | None, place: str) -> None:
    told = {"id": name, "name": Path(place).stem, "start": "0s", "duration": seconds(footage.duration)}
    if footage.has_video and shape is not None:
        told |= {"hasVideo": "1", "videoSources": "1", "format": shape}
    if footage.has_audio:
        told |= {"hasAudio": "1", "audioSources": "1", "audioChannels": "1", "audioRate": str(FILE_SAMPLE_RATE)}
    asset = ElementTree.SubElement(resources, "asset", told)
    ElementTree.SubElement(asset, "media-rep", kind="original-media", src=place)


def seconds(moment: Fraction) -> str:
    """A time as FCPXML writes it: ``25/12s``, or ``2s``."""
    exact = Fraction(moment)
    return f"{exact.numerator}s" if exact.denominator == 1 else f"{exact.numerator}/{exact.denominator}s"
