"""What each command does: settings in, one function called, its result shown, a status out."""
