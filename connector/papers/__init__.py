"""Papers for people: the person's own copy of what was shared, and the officer's table of who may receive what."""
