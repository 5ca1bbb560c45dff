"""LoRAs: files that are checked before anything is believed, stacks of them on a model, and how much two of them fight."""
