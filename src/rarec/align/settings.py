"""How the loop runs."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LoopSettings(BaseModel):
    """Settings of the loop beside those of the learner and the rollouts.

    Attributes:
        iterations: at most; may be raised later, the run then goes on.
        batch: turns an iteration.
        proposal: M, the best items among which sets are drawn; all that may be drawn if there are fewer.
        inner_steps: steps on one batch. From the second on, the policy that learns is no longer the one that drew: the
            log then says off-policy.
        learning_rate: constant, after a linear rise over `warmup` steps.
        warmup: steps over which the learning rate rises.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        dropout: learn as fine-tuning does, with dropout, hidden tokens and hidden features, so that turns are not
            learned by heart; sets are drawn without. The learner ``sft-longer`` always does.
        average: decay of a moving average of the weights (`rarec.retriever.averaging.WeightAverage`), which then is
            what is validated and kept; sets are drawn from the weights themselves. 0 keeps these.
        learn_items: whether the item tower learns.
        negatives: rows drawn from beside the catalogue as further negatives of the NLL.
        refresh_every: iterations between two refreshes of the item vectors by which proposals are made. Scores of
            proposed items are always those of the weights as they are.
        validate_every: iterations between two validations; the first is before any step.
        patience: validations without a better one before the run stops; None never stops early.
        judged_turns: tuning turns on which the judge is asked at each validation.
        seed: of everything that is drawn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    iterations: int = Field(default=200, ge=1)
    batch: int = Field(default=64, ge=1)
    proposal: int = Field(default=200, ge=1)
    inner_steps: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0, allow_inf_nan=False)
    warmup: int = Field(default=10, ge=0)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    clip: float = Field(default=1.0, gt=0)
    dropout: bool = False
    average: float = Field(default=0.0, ge=0, lt=1)
    learn_items: bool = True
    negatives: int = Field(default=0, ge=0)
    refresh_every: int = Field(default=1, ge=1)
    validate_every: int = Field(default=20, ge=1)
    patience: int | None = Field(default=5, ge=1)
    judged_turns: int = Field(default=200, ge=1)
    seed: int = Field(default=0, ge=0, repr=False)  # a recipe sets it by its seeds

    @property
    def policy(self) -> str:
        """What the log calls it."""
        return "on-policy" if self.inner_steps == 1 else f"off-policy ({self.inner_steps} steps a batch)"
