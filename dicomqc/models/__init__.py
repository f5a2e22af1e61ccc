"""Networks and the registry of their weights, shared by node and training."""
