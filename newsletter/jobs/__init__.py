"""The daily run, its tasks, the engines that place them, the scheduler and its upkeep."""
