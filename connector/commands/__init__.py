"""Groups of `silah` commands that stand in files of their own; each loads what it needs only when it runs."""
