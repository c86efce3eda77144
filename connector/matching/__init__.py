"""Finding that two records may tell of one person, across scripts and spellings; never saying so by itself.

`score_names` and `explain_names` compare names alone, `score_people` whatever is known of two people,
`score_file` is what `silah names score` prints. Nothing here links, sends or stores anything.
"""

from connector.matching.names import NameScore, explain_names, score_file, score_names
from connector.matching.people import Interval, PersonFacts, Place, Score, score_people
from connector.matching.reasons import Reason

__all__ = [
    "Interval",
    "NameScore",
    "PersonFacts",
    "Place",
    "Reason",
    "Score",
    "explain_names",
    "score_file",
    "score_names",
    "score_people",
]
