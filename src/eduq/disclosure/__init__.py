"""What an edition may show. Only what is made here can be rendered: of an exam, its history, a verdict's chain, a teacher."""

from eduq.disclosure.comparisons import PublishableComparisons, protect_comparisons
from eduq.disclosure.dossiers import PublishableDossier, protect_dossier
from eduq.disclosure.editions import PUBLISHED_EDITIONS
from eduq.disclosure.equities import PublishableEquity, protect_equity
from eduq.disclosure.exams import ExamResults, Publishable, protect
from eduq.disclosure.feedback import PublishableFeedback, protect_feedback
from eduq.disclosure.growths import PublishableGrowth, protect_growth
from eduq.disclosure.histories import History, HistoryOrigin, PublishableHistory, protect_history, withhold_small_series

__all__ = [
    "PUBLISHED_EDITIONS",
    "ExamResults",
    "History",
    "HistoryOrigin",
    "Publishable",
    "PublishableComparisons",
    "PublishableDossier",
    "PublishableEquity",
    "PublishableFeedback",
    "PublishableGrowth",
    "PublishableHistory",
    "protect",
    "protect_comparisons",
    "protect_dossier",
    "protect_equity",
    "protect_feedback",
    "protect_growth",
    "protect_history",
    "withhold_small_series",
]
