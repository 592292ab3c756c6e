"""The commands, one file each or for each group of them, and what they have in common."""
