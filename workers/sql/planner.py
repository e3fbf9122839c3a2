"""From a question to SQL without a language model.

The question is read once from left to right for each kind of thing it may ask for: counts and aggregates,
superlatives, sorting, grouping, conditions, what must not exist. Each takes its words; the columns left over
are what is shown. It is confident when every word that matters found a place and nothing could be read in
two ways.
"""

from workers.catalogue.linking import SchemaIndex
from workers.catalogue.model import SemanticModel
from workers.sql.combinations import plan_combined
from workers.sql.compounds import plan_compound
from workers.sql.joins import JoinGraph
from workers.sql.kinship import plan_kinship
from workers.sql.plan import Unplannable
from workers.sql.proposal import NoProposal, Proposal
from workers.sql.question import Question
from workers.sql.reading import Reading

__all__ = ["NoProposal", "Planner", "Proposal"]


class Planner:
    """Plans questions over one semantic model; holds no state of a question."""

    def __init__(self, model: SemanticModel, index: SchemaIndex | None = None) -> None:
        self.model = model
        self.index = index or SchemaIndex(model)
        self.graph = JoinGraph(model)

    def plan(self, question: str) -> Proposal | NoProposal:
        planned = plan_compound(question, self._plan) or self._plan(question)
        if isinstance(planned, Proposal) and planned.confident:
            return planned
        kin = plan_kinship(question, self.model, self._plan)
        return kin or plan_combined(question, self._plan) or planned

    def _plan(self, question: str) -> Proposal | NoProposal:
        reading = Reading(question, self.index)
        if not any(mention.targets for mention in reading.mentions):
            return NoProposal("No table, column or value of the database is named in the question.")
        try:
            return Question(self.model, self.graph, reading).propose()
        except Unplannable as error:
            return NoProposal(f"The planner can't express the question: {error}.")
