"""The words of the second domain: what its games are called, are about and are made of. All invented here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Theme(NamedTuple):
    """What a game is about: words for titles, and how its text begins."""

    nouns: tuple[str, ...]
    opening: str


MECHANICS: Mapping[str, str] = {
    "area control": "Whoever holds most of the map when the last token falls takes the points",
    "auction": "Everything is sold to the highest bid, and an empty purse waits a whole round",
    "bag building": "You draw tokens blindly from a bag that you have filled yourself",
    "bluffing": "Cards lie face down, and calling a lie costs dearly when it was none",
    "card drafting": "Hands are passed to the left, and you keep one card of each",
    "cooperation": "All win together or lose together against a clock of bad news",
    "deck building": "You buy better cards and shuffle them into your own deck",
    "deduction": "Every question gives the others a clue as well",
    "dexterity": "A steady finger flicks the pieces over the table",
    "dice rolling": "Handfuls of dice decide, with a few ways to bend luck",
    "engine building": "Each piece you add makes the next turn stronger",
    "hand management": "Few cards, many uses, and never the right time to spend them",
    "hidden roles": "Somebody at the table plays for the other side",
    "memory": "Those who remember what was turned over are ahead",
    "network building": "Links between towns pay whenever anybody uses them",
    "pattern building": "Colours laid in the right shape score at once",
    "pick up and deliver": "Goods wait in one place and buyers in another",
    "push your luck": "One more draw may double the pile or lose it all",
    "set collection": "Complete sets are worth far more than single pieces",
    "simultaneous play": "All choose at once and reveal together",
    "storytelling": "Cards suggest a tale that the table then judges",
    "tile laying": "Tiles grow into a landscape that nobody planned",
    "trick taking": "Follow the suit, or trump it at the right moment",
    "worker placement": "Workers occupy the good spots before somebody else does",
}
"""Value -> the sentence that a game with it has in its text."""

THEMES: Mapping[str, Theme] = {
    "archaeology": Theme(("Shard", "Trench", "Urn", "Dune Temple"), "You dig for what an old people left"),
    "beekeeping": Theme(("Hive", "Clover", "Nectar", "Queen Bee"), "You tend hives through a short summer"),
    "caravans": Theme(("Camel", "Saffron", "Oasis", "Salt Road"), "You lead caravans between desert markets"),
    "circus": Theme(("Trapeze", "Sawdust", "Parade", "Big Tent"), "You run a travelling circus on a thin budget"),
    "deep sea": Theme(("Trench Light", "Coral", "Diving Bell", "Kraken"), "You send divers to wrecks in dark water"),
    "dragons": Theme(("Ember", "Wyrm", "Scale", "Dragon Egg"), "You raise dragons that the valley fears"),
    "gardens": Theme(("Orchard", "Hedge", "Rose Bed", "Glasshouse"), "You plant a garden for a vain duke"),
    "ghosts": Theme(("Lantern", "Attic", "Whisper", "Cold Room"), "You spend a night in a house with a past"),
    "harbours": Theme(("Quay", "Anchor", "Tar Barrel", "Lighthouse"), "You load ships before the tide turns"),
    "heists": Theme(("Vault", "Alibi", "Skeleton Key", "Getaway"), "You plan one last job with a crew of amateurs"),
    "inventors": Theme(("Cog", "Patent", "Airship", "Brass Engine"), "You build machines that nearly work"),
    "kitchens": Theme(("Ladle", "Pepper", "Sourdough", "Copper Pot"), "You cook for guests who never agree"),
    "monasteries": Theme(("Psalter", "Cloister", "Vellum", "Abbey Bell"), "You copy books in a quiet abbey"),
    "mountains": Theme(("Ridge", "Glacier", "Rope Team", "Base Camp"), "You climb a peak that nobody has seen"),
    "railways": Theme(("Signal", "Viaduct", "Night Train", "Siding"), "You lay tracks through hard country"),
    "space": Theme(("Comet", "Orbit", "Airlock", "Far Colony"), "You settle moons with too little air"),
    "spies": Theme(("Cipher", "Dead Drop", "Embassy", "Double Agent"), "You pass letters that must not be read"),
    "vikings": Theme(("Longship", "Rune", "Mead Hall", "Raven"), "You sail north for silver and songs"),
}

ADJECTIVES = (
    "Amber", "Bitter", "Borrowed", "Broken", "Crooked", "Distant", "Eager", "Faded", "Gilded", "Hollow", "Humble",
    "Idle", "Jealous", "Last", "Little", "Lost", "Mild", "Narrow", "Patient", "Proud", "Quiet", "Restless", "Rusty",
    "Second", "Silent", "Slow", "Stubborn", "Sunken", "Tall", "Twin", "Velvet", "Wandering", "Wicked", "Winter",
)  # fmt: skip

PLACES = (
    "Aldermoor", "Brackwater", "Calderon", "Dunmere", "Eskholm", "Farrowgate", "Greyhaven", "Hobbs Hill", "Inverlo",
    "Juniper Bay", "Kestrel Rock", "Lowmarsh", "Merrow", "Northwick", "Ostervale", "Pellam", "Quillon", "Rookby",
    "Saltash End", "Tarn Bridge", "Umberfield", "Vesper Point", "Westmarch", "Yarrow",
)  # fmt: skip

FIRST_NAMES = (
    "Adela", "Bram", "Celia", "Dov", "Elke", "Farid", "Greta", "Hideo", "Ines", "Jonas", "Kaya", "Lorenz", "Mirela",
    "Nils", "Odile", "Pavel", "Rosa", "Sefa", "Tomas", "Ulla",
)  # fmt: skip

LAST_NAMES = (
    "Abendroth", "Brekke", "Castellane", "Dvorsky", "Eklundh", "Fairweather", "Grohl", "Hakimi", "Ibarrola",
    "Jankovic", "Kilbride", "Lindqvist", "Marchetti", "Nakagawa", "Oyelaran", "Prendergast", "Quist", "Rautio",
)  # fmt: skip

TABLES = ("1 to 4 players", "2 players", "2 to 4 players", "3 to 6 players", "4 to 8 players")
"""How many people a game is for, as an attribute says it."""

GREETINGS = ("Hello!", "Hi there.", "Good evening.", "Hey,", "Hi!", "")

WISHES = (
    "I am looking for a game with {wish}.",
    "Do you know something with {wish}?",
    "We would like to try {wish} next.",
    "What is good if we enjoy {wish}?",
)

OPEN_WISHES = (
    "Can you suggest a game?",
    "I need something for the weekend.",
    "What should we play next?",
    "My shelf needs something new.",
)

LIKES = (
    "We loved {a}.",
    "{a} was a great evening.",
    "My favourite is {a}.",
    "I keep coming back to {a}.",
)

LIKES_TWO = (
    "We loved {a} and {b}.",
    "{a} is a favourite here, and so is {b}.",
    "I had great evenings with {a} and {b}.",
)

DISLIKES = (
    "{a} was not for us.",
    "I could not stand {a}.",
    "We sold {a} after one evening.",
)

QUESTIONS = (
    "What else have you enjoyed?",
    "Anything you want to avoid?",
    "What is it that you like about those?",
    "Tell me a little more about your taste.",
)

ADVICE = (
    "Then have a look at {a}.",
    "I think {a} could suit you.",
    "Have you tried {a}?",
    "You might enjoy {a}.",
)

ADVICE_TWO = (
    "Then have a look at {a} or {b}.",
    "I would try {a}, and after that {b}.",
)

PRAISE = (
    "Yes, {a} is wonderful. What else?",
    "I know {a} and like it a lot. Another one?",
    "{a} sounds right. Do you have one more?",
)

DOUBTS = (
    "{a} did not work for us. Something else?",
    "I have played {a} and did not like it. Another idea?",
)

SHRUGS = ("I will note it. Anything else?", "Maybe. One more, please?")

THANKS = ("Thank you, that helps!", "Great, I will try it.", "Thanks a lot.")
