"""The order in which questions about passages are sent, so that a provider's cache of prompts is of use.

Every prompt begins with the instruction and the passage and ends with the question, so the questions of one passage
share their beginning. A provider charges less for what it has read before, but it has read it only once a request is
answered: questions that are sent at the same moment all pay in full.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from dnc_edge.types import Question


def leaders_first(questions: Iterable[Question], *, ahead: int) -> Iterator[Question]:
    """Yield one question of each of the next passages, then the others of each passage together.

    Args:
        questions: those of one passage in a row; a question without a passage stands for itself.
        ahead: how many passages are taken at a time: as many as are asked at once, so that the others of the first
            passage follow when its first question is answered.
    """
    groups = itertools.groupby(enumerate(questions), key=lambda item: item[1].context or item[0])
    passages = ([question for _, question in group] for _, group in groups)
    while taken := list(itertools.islice(passages, ahead)):
        yield from (passage[0] for passage in taken)
        yield from (question for passage in taken for question in passage[1:])
