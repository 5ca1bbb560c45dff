"""Several devices for one clip: a group of processes, each with the model on a device of its own."""
