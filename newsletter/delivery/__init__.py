"""Plan who gets which digest, and send it: one mail a request, or many."""
