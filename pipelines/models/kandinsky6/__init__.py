"""Kandinsky 6: picture and sound together, from words or from a first frame."""
