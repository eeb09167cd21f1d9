"""cmrbench: the benchmark harness and leaderboard CLI for cross-modal retrieval."""

__version__ = "0.1.0"
