"""The way out: settles series, forwards the raw bytes downstream, purges what may go. Never imports torch, sample or models."""
