"""Where requests run: child processes and the desk that hands them work."""
