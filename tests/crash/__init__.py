"""Real processes on a real disk, killed for real."""
