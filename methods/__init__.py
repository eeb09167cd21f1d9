"""The built-in methods, in the four folders of the survey's taxonomy, and the baselines."""
