"""Files of weights read by their headers alone: what is in them, and whether it fits a model. No torch, no numpy."""
