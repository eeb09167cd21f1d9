"""Plain, typed values that the rooms hand to each other. Imports nothing of the project but itself."""
