"""Official figures (docs/figures.md): what each record counts as, what was counted before, and what may be published."""
