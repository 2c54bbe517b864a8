"""`Program` in, numbers and a trace out: a reference interpreter and a JIT."""
