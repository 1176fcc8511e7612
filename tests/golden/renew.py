"""Compute the golden vectors anew, because the chip is meant to have changed: `renew.py --reason "..."`.

They pin the chip for ever, so this is for a change of its definition, or for more cases; never to make a test pass.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime

from cases import GROUPS
from vectors import FOLDER, answer, differences, groups, text

from mgdhw_sim.engines import choose


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reason", required=True, help="why the chip's bits may change; it is kept in CHANGES.md")
    reason = " ".join(parser.parse_args().reason.split())
    if len(reason) < 10:
        parser.error("give a reason that somebody who finds it later understands")
    engine, before = choose("reference"), {}
    for cases in groups().values():
        before.update({case["name"]: case for case in cases})
    added, changed = [], []
    for group, cases in GROUPS.items():
        renewed = [{**case, "expected": answer(case, engine)} for case in cases()]
        for case in renewed:
            old = before.pop(case["name"], None)
            if old is None:
                added.append(case["name"])
            elif differences(old, case):
                changed.append(case["name"])
        (FOLDER / f"{group}.json").write_text(text(renewed))
    line = (
        f"- {datetime.now(UTC):%Y-%m-%d}: {reason} ({len(added)} added, {len(changed)} changed, {len(before)} gone)\n"
    )
    with (FOLDER / "CHANGES.md").open("a") as file:
        file.write(line)
    sys.stdout.write(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
