"""The interactive protocol: simulated seekers that know their target's attributes, not its title."""

from rarec.simulation.dialogue import Dialogue, Recommends
from rarec.simulation.hidden import BLANK, Blanked, TitleWords
from rarec.simulation.llm_seeker import LLMSeeker, LLMSeekerOptions, SeekerTemplate, llm_seekers
from rarec.simulation.profile import Aspect, AspectCounts, SeekerProfile, profile_of
from rarec.simulation.records import DialogueRecord, RunHeader, TurnRecord, read_transcripts
from rarec.simulation.result import SimulatedSystem, SimulationResult, summarise
from rarec.simulation.run import Kept, SimulationSettings, asimulate, simulate
from rarec.simulation.seeker import ScriptedSeeker, Seeker, Seekers, scripted_seekers
from rarec.simulation.targets import BANDS, Target, World, draw_targets, targets_of_examples
from rarec.simulation.word_match import WordMatch

__all__ = [
    "BANDS",
    "BLANK",
    "Aspect",
    "AspectCounts",
    "Blanked",
    "Dialogue",
    "DialogueRecord",
    "Kept",
    "LLMSeeker",
    "LLMSeekerOptions",
    "Recommends",
    "RunHeader",
    "ScriptedSeeker",
    "Seeker",
    "SeekerProfile",
    "SeekerTemplate",
    "Seekers",
    "SimulatedSystem",
    "SimulationResult",
    "SimulationSettings",
    "Target",
    "TitleWords",
    "TurnRecord",
    "WordMatch",
    "World",
    "asimulate",
    "draw_targets",
    "llm_seekers",
    "profile_of",
    "read_transcripts",
    "scripted_seekers",
    "simulate",
    "summarise",
    "targets_of_examples",
]
