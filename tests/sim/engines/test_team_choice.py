"""Whether a team or one thread works on a probe, as others take processors away and give them back."""

from mgdhw_sim.engines.numba.team_choice import AGAIN, TeamChoice


def run(sharing: TeamChoice, seconds: float, *, team: float, alone: float, begin: float = 0.0) -> tuple[float, float]:
    """Pieces of a thousand probes for so long: time now, and the share of all probes that one thread did alone.

    A probe takes a team, or one alone, so many milliseconds.
    """
    now, by_one, pieces = begin, 0, 0
    while now < begin + seconds:
        is_alone = sharing.is_alone(now)
        taken = alone if is_alone else team
        now += taken
        sharing.took(is_alone, 1000, taken, now)
        by_one, pieces = by_one + is_alone, pieces + 1
    return now, by_one / pieces


def test_a_team_works_on_while_nobody_is_late() -> None:
    sharing = TeamChoice()
    now, by_one = run(sharing, 60, team=0.05, alone=0.09)
    assert by_one < 0.002  # tried once
    assert run(sharing, 60, team=0.05, alone=0.09, begin=now)[1] == 0


def test_a_partner_that_is_late_from_the_beginning_is_noticed() -> None:
    assert run(TeamChoice(), 60, team=0.12, alone=0.09)[1] > 0.9


def test_one_goes_on_alone_while_a_partner_is_late_and_no_longer() -> None:
    sharing = TeamChoice()
    now, _ = run(sharing, 1, team=0.05, alone=0.09)
    now, by_one = run(sharing, 20, team=0.5, alone=0.09, begin=now)
    assert by_one > 0.9
    now, _ = run(sharing, 2 * AGAIN, team=0.05, alone=0.09, begin=now)
    assert run(sharing, 20, team=0.05, alone=0.09, begin=now)[1] == 0


def test_a_late_team_stays_where_one_alone_is_no_faster() -> None:
    sharing = TeamChoice()
    now, _ = run(sharing, 1, team=0.05, alone=0.09)
    assert run(sharing, 20, team=0.1, alone=0.18, begin=now)[1] < 0.1


def test_pieces_too_short_to_be_timed_decide_nothing() -> None:
    sharing = TeamChoice()
    sharing.took(False, 1000, 0.05, 1.0)
    for _ in range(9):
        sharing.took(False, 1, 0.001, 2.0)
    assert not sharing.is_alone(2.0)
