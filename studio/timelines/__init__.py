"""Timelines of shots: their values and changes, and what they become as film, OTIO, FCPXML or captions. No torch."""
