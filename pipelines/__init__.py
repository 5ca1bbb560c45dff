"""Everything that touches torch, behind a torch-free door: contract, registry and graph."""
