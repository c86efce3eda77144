"""Writes small forms into a temporary folder, the way an author would."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from forms.tables import forget, load
from forms.translations import TRANSLATED, merge, source_texts

SETTINGS = 'title = "Tiny form"\nversion = "2026112101"\npurpose = "tracing"\n'
POLICY = 'purpose = "tracing"\n[classes]\ncase = ["own_society"]\n[questions]\n'


def write_form(root: Path, form_id: str = "tiny", **files: str) -> Path:
    """Writes a form's tables under *root* and returns *root*.

    Args:
        files: `survey`, `settings`, `policy`, `choices` of the form; `block_<name>`, `list_<name>` and `media_<name>`
            for the shared tables. Text is dedented.
    """
    written = {"settings": SETTINGS, "policy": POLICY, **files}
    for key, text in written.items():
        path = root / _path(form_id, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def _path(form_id: str, key: str) -> str:
    shared = {"block": "blocks", "list": "choices", "media": "media"}
    kind, _, name = key.partition("_")
    if name:
        return f"{shared[kind]}/{name}.csv"
    return f"{form_id}/{key}.{'csv' if key in ('survey', 'choices') else 'toml'}"


def complete(root: Path, form_id: str = "tiny", **classes: str) -> Path:
    """Gives every question of a form a line in its policy (`case` unless *classes* says else) and translates every text."""
    forget()
    form = load(form_id, root)
    lines = "".join(f'{name} = "{classes.get(name, "case")}"\n' for name in form.questions)
    known = "".join(f'{cls} = ["own_society"]\n' for cls in sorted({"case", *classes.values()} - {"internal", "never"}))
    (root / form_id / "policy.toml").write_text(
        f'purpose = "tracing"\n[classes]\n{known}[questions]\n{lines}', encoding="utf-8"
    )
    for language in TRANSLATED:
        merge(language, {text: f"{text} ({language})" for text in source_texts(form_id, root)}, root)
    return root
