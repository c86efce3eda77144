"""Bytes that nobody foresaw, at every place where bytes from outside come in. `make fuzz` tries millions, guided by
coverage; `make test` tries the seeds and whatever once made something fall over."""
