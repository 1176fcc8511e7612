"""Compare what an engine answers with the golden vectors: `python tests/golden/check.py [--engine numba]`."""

from __future__ import annotations

import argparse
import sys

from vectors import answer, declined, differences, groups

from mgdhw_sim.engines import ENGINES, choose


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="reference")
    engine = choose(parser.parse_args().engine)
    wrong = 0
    for group, cases in groups().items():
        skipped = [case for case in cases if declined(case, engine)]
        for case in cases:
            if case in skipped:
                continue
            different = differences(case["expected"], answer(case, engine))
            if different:
                wrong += 1
                sys.stdout.write(f"{group}: {case['name']}: differs in {', '.join(different)}\n")
        sys.stdout.write(f"{group}: {len(cases) - len(skipped)} cases compared, {len(skipped)} declined\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
