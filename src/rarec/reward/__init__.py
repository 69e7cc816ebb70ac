"""What a ranking is worth: plain functions, ranking x truth -> float. Nothing here knows how a ranking was made."""

from rarec.reward.credit import leave_one_out_credits, ndcg_credits
from rarec.reward.feedback import Feedback, agreement, grades
from rarec.reward.ranking import Reward, mrr, ndcg, recall
from rarec.reward.registry import REWARDS, reward_named, weighted_sum

__all__ = [
    "REWARDS",
    "Feedback",
    "Reward",
    "agreement",
    "grades",
    "leave_one_out_credits",
    "mrr",
    "ndcg",
    "ndcg_credits",
    "recall",
    "reward_named",
    "weighted_sum",
]
