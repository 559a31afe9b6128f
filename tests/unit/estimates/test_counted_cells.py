"""Lines of schools taken from cells that another stage has counted are those of cells counted for them alone."""

from __future__ import annotations

from polars.testing import assert_frame_equal
from tests.unit.estimates.test_exam_comparisons import RUN, county

from eduq.estimates.levels import pass_cuts, unit_columns
from eduq.estimates.measures import load_measures
from eduq.estimates.unit_lines import measure_summary
from eduq.summaries import summarise


def test_cells_of_every_paper_give_the_lines_of_the_papers_asked_for() -> None:
    scores = county()
    measures = {name: found for name, found in load_measures(None, RUN.measures).items() if name in ("z_mean", "composite_z")}
    cuts = pass_cuts(scores.exam, measures)
    summary = summarise(scores, by=unit_columns(("school",), scores.frame.columns), settings=RUN, pass_cuts=cuts)
    for subjects in (["math"], ["english", "math"], None):
        alone, shared = (
            measure_summary(
                summary,
                scores,
                unit_type="school",
                measures=measures,
                subjects=subjects,
                settings=RUN,
                teachers=None,
                counted=cells,
            )
            for cells in (None, summary.schools)
        )
        assert alone is not None
        assert shared is not None
        assert alone.height > 0
        assert_frame_equal(alone, shared, check_exact=True)
