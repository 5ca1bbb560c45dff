"""Training of the embedded model, from the procedural world to a released folder: ``python -m pipelines.training pocket``."""
