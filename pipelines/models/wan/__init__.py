"""Wan 2.1 and 2.2: pictures without sound, from words or from a first frame."""
