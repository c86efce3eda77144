"""`python -m tests.supply`: writes build/sbom.json, refuses a licence that nobody allowed and a part with a known vulnerability.

Without a way to the vulnerability database it says so and goes on; with `--asked` that is a failure too: use it before a release.
"""

from __future__ import annotations

import sys

from tests.supply.known import known
from tests.supply.parts import ROOT, environment, of_the_product, refused, rule

_BILL = ROOT / "build" / "sbom.json"


def main(*, must_be_asked: bool) -> int:
    bill = of_the_product(environment(), "engines", "postgres")
    _BILL.parent.mkdir(exist_ok=True)
    _BILL.write_text(bill.written(), encoding="utf-8")
    licences = refused(bill, rule())
    against = known(ROOT / "requirements.lock")
    for line in [*map(str, licences), *against.findings]:
        print(line, file=sys.stderr)
    asked = f"{against.asked} asked for vulnerabilities, {len(against.findings)} known"
    if against.unasked:
        asked = f"VULNERABILITIES NOT CHECKED, the database did not answer ({against.unasked[:120]})"
    print(
        f"Supply: {len(bill.components)} parts in {_BILL.relative_to(ROOT)}, {len(licences)} licences refused; {asked}"
    )
    return int(bool(licences or against.findings or (must_be_asked and against.unasked)))


if __name__ == "__main__":
    sys.exit(main(must_be_asked="--asked" in sys.argv[1:]))
