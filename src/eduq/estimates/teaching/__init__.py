"""Teachers, classes and subjects of one exam: each class set beside like classes of other teachers."""

from eduq.estimates.teaching.results import TeachingTable
from eduq.estimates.teaching.tables import measure_teaching

__all__ = ["TeachingTable", "measure_teaching"]
