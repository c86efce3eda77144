"""The enquiry: a relative alone on a web link asks to be called back. Nothing of the person missed but relation and region."""

from __future__ import annotations

from typing import Annotated, Literal

from connector.transforms.people import Agreement, Contact, Interview
from connector.transforms.record import Part, Q, Record, Within


class Missed(Part):
    """Whom the person misses: the relation, and country (ISO 3166-1 alpha-2) and region (p-code) of last news."""

    relation: Annotated[str | None, Q("s_relation")] = None
    country: Annotated[str | None, Q("s_last_country")] = None
    region: Annotated[str | None, Q("s_last_adm1")] = None


class Enquiry(Record):
    """For the own society alone; a colleague calls back by the safe way given. *name* is what to ask for, not a full name."""

    kind: Literal["enquiry"] = "enquiry"
    case_code: Annotated[str | None, Q("case_code")] = None
    interview: Annotated[Interview | None, Within("")] = None
    name: Annotated[str | None, Q("enq_name_full_native")] = None
    contact: Annotated[Contact | None, Within("enq_")] = None
    missed: Annotated[Missed | None, Within("")] = None
    agreement: Annotated[Agreement | None, Within("")] = None
