"""What people touch and what the disk remembers: services, storage, workers, page, API and command line. Never torch."""
