"""What the harness and the evaluation engine cost, against goals; run as ``python -m benchmarks.engine``."""
