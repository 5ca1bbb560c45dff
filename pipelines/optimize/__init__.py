"""Speed and memory, applied to models from outside."""
