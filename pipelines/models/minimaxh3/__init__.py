"""MiniMax-H3: picture and sound together, from words or from a first frame."""
