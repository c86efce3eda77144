"""The side that phones speak to: form list, forms, manifests, media and submissions (OpenRosa 1.0)."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import md5
from xml.sax.saxutils import escape, quoteattr

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage

from connector.sandbox.content import NotDeployable
from connector.sandbox.instance import BadXml, Instance, from_json
from connector.sandbox.rest import Refusal, answer, body, caller, challenge, host, named, store
from connector.sandbox.rights import ANONYMOUS
from connector.sandbox.store import Asset, Deployment, MediaFile, Store, User
from connector.sandbox.submissions import Rejected, Submission, Upload

api = Blueprint("openrosa", __name__)

ACCEPTED_BYTES = "10000000"
_XML = "text/xml; charset=utf-8"
_SPEC = {"X-OpenRosa-Version": "1.0", "X-OpenRosa-Accept-Content-Length": ACCEPTED_BYTES}
_DECLARED = '<?xml version="1.0" encoding="utf-8"?>\n'
_LIST = "http://openrosa.org/xforms/xformsList"
_MANIFEST = "http://openrosa.org/xforms/xformsManifest"


@api.get("/formList")
def form_list() -> Response:
    """The forms that the caller may fill in."""
    user = _logged_in(f'<xforms xmlns="{_LIST}">', "</xforms>")
    return _forms([asset for asset in store().assets.values() if asset.rights.has(user.name, "add_submissions")])


@api.get("/<owner>/formList")
def public_form_list(owner: str) -> Response:
    """The forms of *owner* that the caller, or anybody, may fill in."""
    user = caller()
    name = user.name if user else ANONYMOUS
    mine = [asset for asset in store().assets.values() if asset.owner.name == owner]
    return _forms([asset for asset in mine if asset.rights.has(name, "add_submissions")])


@api.get("/forms/<int:pk>/form.xml")
def form(pk: int) -> Response:
    """One form as XForm."""
    asset, deployment = _deployed(pk)
    if deployment.xform is None:
        deployment.xform = xform(asset, deployment)
    return _xml(deployment.xform)


@api.get("/xformsManifest/<int:pk>")
def manifest(pk: int) -> Response:
    """The media that a form needs, as of its last deployment."""
    _, deployment = _deployed(pk)
    files = "".join(_manifest_entry(deployment, number, file) for number, file in deployment.media)
    return _xml(f'{_DECLARED}<manifest xmlns="{_MANIFEST}">{files}</manifest>')


@api.get("/xformsMedia/<int:pk>/<int:number>")
@api.get("/xformsMedia/<int:pk>/<int:number>.<ending>")
def media(pk: int, number: int, ending: str = "") -> Response:
    """One media file; *ending* is there for the phone."""
    _, deployment = _deployed(pk)
    file = dict(deployment.media).get(number)
    if file is None or not file.name.endswith(ending):
        raise Refusal(404, {"detail": "Not found."})
    response = Response(file.content, content_type=file.mimetype)
    response.headers["Content-Disposition"] = f"attachment; filename={file.name}"
    return named(response)


@api.route("/submission", methods=["HEAD", "POST"], provide_automatic_options=False)
@api.route("/<owner>/submission", methods=["HEAD", "POST"], provide_automatic_options=False)
def submission(owner: str | None = None) -> Response:
    """Takes a filled-in form with its files, or a part of the files of a known one."""
    user = caller() if owner else _logged_in("<root>", "</root>")
    if request.method == "HEAD":
        response = _xml("", 204)
        response.headers["Location"] = request.base_url
        return response
    try:
        instance, files = _sent()
        asset = project_of(store(), instance, owner)
        if asset is None:
            return _plain("Not found.", 404)
        row = take(store(), asset, instance, files, user)
    except BadXml:
        return _message("Improperly formatted XML.", 400)
    except Rejected as error:
        return _message(str(error), error.status)
    return _accepted(asset, row)


def take(known: Store, asset: Asset, instance: Instance, files: list[Upload], user: User | None) -> Submission:
    """A submission by *user* (None: nobody logged in): new, an edit, or more files; fires hooks only when it is new.

    Raises:
        Rejected: with OpenRosa's status and message.
    """
    name, rows = user.name if user else ANONYMOUS, asset.submissions
    if not instance.uuid:
        raise Rejected(400, "Instance ID is required")
    if asset.deployment is None or not asset.deployment.active:
        raise Rejected(405, "Form is not active")
    present = rows.find(instance.uuid)
    if instance.deprecated_uuid and (present is None or present.uuid != instance.uuid):
        if not asset.rights.has(name, "change_submissions"):
            raise Rejected(403, "Access denied")
        row = rows.edit(instance, files, known.clock())
        known.log_submission(asset, user or known.users[ANONYMOUS], "modify-submission", row)
        return row
    if not asset.rights.has(name, "add_submissions"):
        raise Rejected(403, "Access denied")
    row, is_new = rows.receive(instance, files, user.name if user else None, known.clock())
    if is_new:
        known.log_submission(asset, user or known.users[ANONYMOUS], "add-submission", row)
        for listener in known.new_submission:
            listener(asset, row)
    return row


def project_of(known: Store, instance: Instance, owner: str | None) -> Asset | None:
    """Whose submission this is: by the project's uuid, else by the form's id."""
    mine = [asset for asset in known.assets.values() if owner in (None, asset.owner.name)]
    by_uuid = {asset.deployment.formhub_uuid: asset for asset in mine if asset.deployment}
    found = by_uuid.get(instance.formhub_uuid or "")
    return found or next((asset for asset in mine if asset.deployment and asset.uid == instance.form_id), None)


def xform(asset: Asset, deployment: Deployment) -> str:
    """The deployed form: the project's uid as its id, the deployment's version, and the project's uuid as an answer."""
    content = deployment.version.content.with_version_question(deployment.version.uid)
    try:
        text = content.xform(asset.uid, asset.name, form_id=asset.uid, version=deployment.openrosa_version)
    except NotDeployable as error:
        raise Refusal(400, {"error": str(error)}) from error
    root_at = text.index("<instance>")
    root_end = text.index(">", text.index(f"<{asset.uid} ", root_at)) + 1
    bound = f"'{deployment.formhub_uuid}'"
    bind = f'<bind nodeset="/{asset.uid}/formhub/uuid" type="string" calculate={quoteattr(bound)}/>'
    head, tail = text[:root_end], text[root_end:]
    return f"{head}<formhub><uuid/></formhub>{tail.replace('</model>', f'{bind}</model>', 1)}"


def _logged_in(opening: str, closing: str) -> User:
    user = caller()
    if user is None:
        text = f"{_DECLARED}{opening}<detail>Authentication credentials were not provided.</detail>{closing}"
        response = Response(text, 401, {"WWW-Authenticate": challenge()}, content_type=_XML)
        raise XmlRefusal(response)
    return user


class XmlRefusal(Exception):
    """A refusal that is written in XML."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def xml_refused(error: Exception) -> Response:
    """The answer of an `XmlRefusal`."""
    assert isinstance(error, XmlRefusal)  # noqa: S101 - registered for nothing else
    return error.response


def _forms(assets: list[Asset]) -> Response:
    out = [(asset, asset.deployment) for asset in assets if asset.deployment and asset.deployment.active]
    entries = "".join(_form_entry(asset, deployment) for asset, deployment in out)
    return _xml(f'{_DECLARED}<xforms xmlns="{_LIST}">{entries}</xforms>')


def _form_entry(asset: Asset, deployment: Deployment) -> str:
    name, version, at = escape(asset.name), escape(deployment.openrosa_version), host()
    mark = md5(f"{asset.uid} {version} {deployment.version.uid}".encode(), usedforsecurity=False).hexdigest()
    return (
        f"<xform><formID>{asset.uid}</formID><name>{name}</name><majorMinorVersion>{version}</majorMinorVersion>"
        f"<version>{version}</version><hash>md5:{mark}</hash><descriptionText>{name}</descriptionText>"
        f"<downloadUrl>{at}/forms/{deployment.pk}/form.xml</downloadUrl>"
        f"<manifestUrl>{at}/xformsManifest/{deployment.pk}</manifestUrl></xform>"
    )


def _manifest_entry(deployment: Deployment, number: int, file: MediaFile) -> str:
    _, dot, ending = file.name.rpartition(".")
    at = f"{host()}/xformsMedia/{deployment.pk}/{number}{dot}{ending if dot else ''}"
    return (
        f"<mediaFile><filename>{escape(file.name)}</filename><hash>{file.hash}</hash>"
        f"<downloadUrl>{at}</downloadUrl></mediaFile>"
    )


def _deployed(pk: int) -> tuple[Asset, Deployment]:
    user = caller()
    for asset in store().assets.values():
        if asset.deployment and asset.deployment.pk == pk:
            if not asset.rights.has(user.name if user else ANONYMOUS, "add_submissions"):
                break
            return asset, asset.deployment
    raise XmlRefusal(_plain("Not found.", 404))


def _sent() -> tuple[Instance, list[Upload]]:
    """The XML and the files of a request; a JSON body is turned into XML first."""
    if request.is_json:
        sent = body()
        content = sent.get("submission")
        if not isinstance(content, dict):
            raise BadXml("no submission")
        return Instance(from_json(str(sent.get("id")), content)), []
    document = request.files.get("xml_submission_file")
    if document is None:
        raise BadXml("no xml_submission_file")
    others = [file for name, file in request.files.items(multi=True) if name != "xml_submission_file"]
    return Instance(document.read().strip()), [_upload(file) for file in others]


def _upload(file: FileStorage) -> Upload:
    name = (file.filename or file.name or "").replace("\\", "/").rpartition("/")[2]
    return Upload(name, file.read(), file.mimetype or None)


def _accepted(asset: Asset, row: Submission) -> Response:
    instance_id, message = f"uuid:{row.uuid}", "Successful submission."
    received, completed = _moment(row.submitted_at), _moment(row.completed_at or row.submitted_at)
    if request.is_json:
        response = _json_accepted(asset, instance_id, message, received, completed)
    else:
        response = _xml(
            f'<OpenRosaResponse xmlns="http://openrosa.org/http/response">\n    <message>{message}</message>\n'
            f'    <submissionMetadata xmlns="http://www.opendatakit.org/xforms" id="{asset.uid}" '
            f' instanceID="{escape(instance_id)}" submissionDate="{received}" isComplete="true"'
            f' markedAsCompleteDate="{completed}"/>\n</OpenRosaResponse>\n',
            201,
        )
    response.headers["Location"] = request.base_url
    return response


def _json_accepted(asset: Asset, instance_id: str, message: str, received: str, completed: str) -> Response:
    accepted = {
        "message": message,
        "formid": asset.uid,
        "encrypted": False,
        "instanceID": instance_id,
        "submissionDate": received,
        "markedAsCompleteDate": completed,
    }
    return answer(accepted, 201, _SPEC)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _message(message: str, status: int) -> Response:
    response = _xml(
        "<?xml version='1.0' encoding='UTF-8' ?>\n"
        '<OpenRosaResponse xmlns="http://openrosa.org/http/response">\n'
        f'        <message nature="">{escape(message)}</message>\n</OpenRosaResponse>',
        status,
    )
    if status in (202, 409):
        response.headers["Location"] = request.base_url
    return response


def _plain(detail: str, status: int) -> Response:
    return named(Response(f"{_DECLARED}<root><detail>{detail}</detail></root>", status, content_type=_XML))


def _xml(text: str, status: int = 200) -> Response:
    return named(Response(text, status, _SPEC, content_type=_XML))
