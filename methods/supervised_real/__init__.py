"""Real-valued methods that learn from labels."""
