"""What a transformer's blocks do between their matrix products, fused; loads nothing."""
