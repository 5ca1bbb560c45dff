"""What a person can ask of the studio, one noun a file."""
