"""What results show of themselves in a notebook: counts and figures, never a pupil's row."""

from __future__ import annotations

from tests.builders import build_scores

import eduq as eq

ROWS = [{"school_id": "AB"[i % 2], "candidate_id": f"planted-{i}", "math": 40.5 + i} for i in range(12)]


def test_a_score_table_shows_counts_and_no_row() -> None:
    scores = build_scores(ROWS)
    for shown in (repr(scores), scores.summary(), scores._repr_html_()):
        assert "12 candidates" in shown
        assert "planted" not in shown
        assert "45.5" not in shown


def test_groups_and_estimates_show_themselves() -> None:
    scores = build_scores(ROWS)
    assert "comparison groups" in eq.check_comparability(scores)._repr_html_()
    assert "<table" in eq.describe(scores)._repr_html_()
