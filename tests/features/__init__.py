"""Questions to the simulated fabric, a file for each feature."""
