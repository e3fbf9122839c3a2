"""All numbers that a simulation takes for granted, by name, so that they can be listed and set."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from askfleet.simulation.demand import Lengths
from askfleet.simulation.nodes import Provisioning
from askfleet.simulation.policy import Cpu
from askfleet.simulation.service import Service
from bus.topology import GENERATE
from contracts.errors import Misconfigured


class Assumptions(BaseModel):
    """The defaults are stated, not measured: a model of about 8 billion parameters on a GPU with 48 GB."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    slots: int = Field(64, ge=1, le=4_096, description="answers at once in a replica (AF_ENGINE_SLOTS)")
    kv_tokens: int = Field(160_000, ge=0, description="tokens that the KV cache holds; 0: no limit")
    first_token_s: float = Field(0.1, ge=0, description="first token of an empty prompt")
    prompt_token_s: float = Field(0.0001, ge=0, description="added for each token of the prompt")
    alone_s: float = Field(0.020, gt=0, description="token interval of an answer that is alone")
    full_s: float = Field(0.045, gt=0, description="token interval with all slots taken")
    prompt_tokens: float = Field(2_000, ge=0, description="of a question with its evidence")
    answer_tokens: float = Field(200, ge=1, description="mean of an answer, which is lognormal")
    answer_variation: float = Field(0.6, ge=0, le=3, description="coefficient of variation of the answer")
    node_s: float = Field(180, ge=0, description="a new GPU node, until a pod can start on it")
    model_s: float = Field(120, ge=0, description="image, process, weights and graphs, until it is ready")
    keep_node_s: float = Field(300, ge=0, description="how long an empty node stays (consolidateAfter)")
    gpus: int = Field(1, ge=1, le=64, description="GPUs of one replica")
    ack_pending: int = Field(
        GENERATE.consumers[0].max_ack_pending,
        ge=0,
        description="questions that the queue hands out at once (max_ack_pending); 0: no limit",
    )
    deadline_s: float = Field(120, gt=0, description="waits beyond it are counted (AF_DEFAULT_DEADLINE_S)")
    idle_cores: float = Field(0.05, ge=0, description="CPU of a replica without work")
    busy_cores: float = Field(1.1, gt=0, description="CPU of a replica with any work: vLLM's engine core")
    answer_cores: float = Field(0.004, ge=0, description="CPU added for each answer in the batch")
    requested_cores: float = Field(4.0, gt=0, description="CPU request of the pod; utilisation is of it")

    @property
    def service(self) -> Service:
        return Service(
            slots=self.slots,
            kv_tokens=self.kv_tokens,
            first_token_s=self.first_token_s,
            prompt_token_s=self.prompt_token_s,
            alone_s=self.alone_s,
            full_s=max(self.full_s, self.alone_s),
        )

    @property
    def lengths(self) -> Lengths:
        most = max(Lengths.most_answer_tokens, 5 * self.answer_tokens)
        return Lengths(self.prompt_tokens, self.answer_tokens, self.answer_variation, most)

    @property
    def provisioning(self) -> Provisioning:
        return Provisioning(self.node_s, self.model_s, self.keep_node_s, gpus=self.gpus)

    @property
    def cpu(self) -> Cpu:
        return Cpu(self.idle_cores, self.busy_cores, self.answer_cores, self.requested_cores)

    @property
    def replica_per_s(self) -> float:
        """Answers a second of a full replica."""
        return self.service.per_s(self.prompt_tokens, self.answer_tokens)


def assumed(settings: Sequence[str]) -> Assumptions:
    """The defaults with `name=value` changed; raises Misconfigured that names the value."""
    given: dict[str, str] = {}
    for text in settings:
        name, separator, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or name not in Assumptions.model_fields:
            raise Misconfigured(
                f"--set {text!r} names nothing that can be set.",
                remedy="Write name=value; `askfleet simulate assumptions` lists the names.",
            )
        given[name] = value.strip()
    try:
        return Assumptions.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise Misconfigured(
            f"--set {name.replace('_', '-')}={first['input']}: {first['msg']}.",
            remedy=f"It is: {Assumptions.model_fields[name].description}.",
        ) from error
