"""Stage 4: numbers with uncertainty."""
