"""CogVideoX and CogVideoX 1.5: pictures without sound, from words or from a first frame."""
