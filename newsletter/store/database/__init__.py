"""The database as a whole: its file, its role, backup, restore, copy."""
