"""Stable Audio 3: music and effects from words."""
