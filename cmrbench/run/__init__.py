"""Plans runs, carries each out in a process of its own, and puts the results into the store."""
