"""The forms of this project, as they are committed."""

from __future__ import annotations

from forms.commands import check_command


def test_every_form_passes_the_whole_check() -> None:
    """Tables, policies, translations, committed builds, pyxform without a warning, ODK Validate: no finding at all."""
    checked = check_command()
    assert [str(finding) for finding in checked.findings] == []
    assert (checked.engines, checked.exit_status) == ("run", 0)
