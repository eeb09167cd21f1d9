"""Real-valued methods that never see a label."""
