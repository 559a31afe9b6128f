"""Rules as data: packs, their reading, their linting, and the verdicts they give."""
