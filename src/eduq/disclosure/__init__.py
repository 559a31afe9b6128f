"""What an edition may show. Only what is made here can be rendered: of an exam, its history, a verdict's chain."""

from eduq.disclosure.dossiers import PublishableDossier, protect_dossier
from eduq.disclosure.editions import PUBLISHED_EDITIONS
from eduq.disclosure.exams import ExamResults, Publishable, protect
from eduq.disclosure.histories import History, HistoryOrigin, PublishableHistory, protect_history, withhold_small_series

__all__ = [
    "PUBLISHED_EDITIONS",
    "ExamResults",
    "History",
    "HistoryOrigin",
    "Publishable",
    "PublishableDossier",
    "PublishableHistory",
    "protect",
    "protect_dossier",
    "protect_history",
    "withhold_small_series",
]
