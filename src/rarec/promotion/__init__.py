"""Whether a new bundle takes the place of the live one: measured on held-out turns, switched at once, taken back."""

from rarec.promotion.gate import Verdict, decide
from rarec.promotion.run import Promotion, Question, Resources, promote
from rarec.promotion.switch import roll_back

__all__ = ["Promotion", "Question", "Resources", "Verdict", "decide", "promote", "roll_back"]
