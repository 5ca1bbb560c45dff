"""What the disk remembers: one SQLite database, one table a file."""
