"""The steps that graphs are made of, one a file; none loads torch before it runs."""
