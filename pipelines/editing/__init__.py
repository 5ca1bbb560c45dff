"""Edits of clips: what stays, what is made anew, and how the two meet."""
