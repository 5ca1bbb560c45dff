"""SkyReels V2: pictures without sound, from words or from a first frame."""
