"""Values and pure rules: papers, scores, digests, subscribers, calendars, send times. No I/O."""
