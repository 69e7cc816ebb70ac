"""The words of invented films. None of it is taken from a real title or plot."""

from __future__ import annotations

from collections.abc import Mapping

ADJECTIVES = (
    "Amber", "Bitter", "Borrowed", "Brass", "Broken", "Careful", "Copper", "Crooked", "Distant", "Dusty", "Eager",
    "Early", "Faded", "Fourth", "Frozen", "Gilded", "Hollow", "Humble", "Idle", "Ivory", "Jealous", "Kindly", "Last",
    "Late", "Little", "Lonely", "Lost", "Loud", "Mild", "Narrow", "Numb", "Opal", "Pale", "Patient", "Paper", "Proud",
    "Quiet", "Rapid", "Restless", "Rusty", "Second", "Secret", "Shallow", "Silent", "Slow", "Soft", "Stubborn",
    "Sunken", "Tall", "Tender", "Third", "Timid", "Twin", "Unkind", "Velvet", "Wandering", "Weary", "Wicked", "Winter",
    "Yellow",
)  # fmt: skip

NOUNS = (
    "Accordion", "Almanac", "Anchor", "Apricot", "Archive", "Attic", "Balcony", "Barrel", "Beacon", "Beehive", "Bell",
    "Bicycle", "Blanket", "Bridge", "Butcher", "Cabinet", "Candle", "Canal", "Caravan", "Carpenter", "Cellar", "Chapel",
    "Chimney", "Clerk", "Clock", "Comet", "Compass", "Cousin", "Cradle", "Daughter", "Ditch", "Doorman", "Dowry",
    "Engine", "Envelope", "Ferry", "Fiddle", "Florist", "Furnace", "Gardener", "Glacier", "Granary", "Hammock",
    "Harbour", "Harvest", "Hedge", "Island", "Juror", "Kettle", "Ladder", "Lantern", "Ledger", "Lodger", "Marsh",
    "Meadow", "Mechanic", "Milkman", "Mirror", "Mitten", "Needle", "Nephew", "Oracle", "Orchard", "Oven", "Parade",
    "Parrot", "Pianist", "Pilot", "Plough", "Porter", "Puppet", "Quarry", "Raft", "Ribbon", "Sailor", "Scarecrow",
    "Shepherd", "Sparrow", "Staircase", "Stranger", "Surgeon", "Tailor", "Tenant", "Thimble", "Tunnel", "Umbrella",
    "Viaduct", "Widow", "Windmill", "Witness",
)  # fmt: skip

PLACE_STARTS = (
    "Alder", "Ash", "Barrow", "Birch", "Black", "Brack", "Bram", "Calder", "Cold", "Crow", "Dun", "Elder", "Esk",
    "Fallow", "Farrow", "Fen", "Gorse", "Grey", "Hallow", "Heron", "High", "Holm", "Juniper", "Kestrel", "Larch",
    "Ling", "Low", "Marl", "Merrow", "Moss", "North", "Otter", "Pell", "Raven", "Rook", "Salt", "Sedge", "Thorn",
    "Vesper", "Yarrow",
)  # fmt: skip
PLACE_ENDS = (
    "bank", "beck", "bourne", "bury", "combe", "cote", "dale", "fell", "field", "ford", "gate", "haven", "hurst",
    "lea", "march", "mere", "moor", "port", "shaw", "stead", "thwaite", "vale", "water", "wick",
)  # fmt: skip

FIRST_NAMES = (
    "Adela", "Anouk", "Bram", "Celia", "Cosima", "Dov", "Edda", "Elke", "Emeka", "Farid", "Fenna", "Gaspard", "Greta",
    "Hideo", "Ilse", "Ines", "Ivo", "Jonas", "Jun", "Kaya", "Kofi", "Leocadia", "Lorenz", "Marit", "Mirela", "Nadja",
    "Nils", "Odile", "Oskar", "Pavel", "Petra", "Quim", "Rosa", "Runa", "Sefa", "Silvan", "Tomas", "Ulla", "Viggo",
    "Wanda", "Xenia", "Yusuf", "Zora",
)  # fmt: skip
LAST_STARTS = (
    "Alm", "Bar", "Berg", "Cald", "Czer", "Dlam", "Ek", "Far", "Gro", "Has", "Ib", "Jur", "Kal", "Lind", "Mar", "Nor",
    "Ost", "Pas", "Quin", "Ros", "Sal", "Tor", "Ulv", "Var", "Wel", "Yil", "Zam",
)  # fmt: skip
LAST_ENDS = (
    "agawa", "ander", "berg", "dottir", "eiro", "elli", "enko", "erova", "eson", "etti", "holm", "ides", "ikar",
    "ington", "inska", "man", "mund", "ola", "oski", "quist", "sen", "stad", "ula", "vik",
)  # fmt: skip

GENRES = (
    "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "History",
    "Horror", "Music", "Mystery", "Romance", "Science Fiction", "Thriller", "War", "Western",
)  # fmt: skip

KEYWORDS = (
    "small town", "missing heir", "forged letter", "night train", "sibling rivalry", "harbour", "apprentice", "winter",
    "court case", "lost map", "travelling circus", "inheritance", "mountain village", "secret passage", "radio",
    "orchard", "strike", "old friends", "first job", "storm",
)  # fmt: skip

HEROES = (
    "a retired clerk", "a young surgeon", "two sisters", "the lodger upstairs", "a ferryman", "an apprentice tailor",
    "the last postmaster", "a stubborn widow", "a pair of thieves", "a pianist without work", "the new schoolteacher",
    "a night watchman", "three brothers", "a map maker", "a disgraced juror", "the miller's daughter",
)  # fmt: skip
EVENTS = (
    "finds a letter that was never sent", "inherits a house with a locked cellar", "is blamed for a fire",
    "must cross the pass before winter", "hides a stranger from the police", "wins a bet that cannot be paid",
    "follows a melody to its composer", "loses everything in one night", "agrees to one last journey",
    "uncovers how the mine was flooded", "falls for somebody who does not exist", "returns after twenty years",
    "takes the place of a missing twin", "wakes in a village that is on no map", "bargains with the river",
)  # fmt: skip
TURNS = (
    "Nobody in {place} wants the truth to be known", "The harvest fails, and tempers with it",
    "An old debt comes due at the worst moment", "What began as a joke turns serious",
    "The only witness boards a train to {place}", "A storm cuts the valley off for nine days",
    "Each of them has a reason to lie", "Word of it reaches {place} before the morning",
    "The bridge is out, and the clock is running", "Somebody has been reading the letters",
)  # fmt: skip
ENDS = (
    "In the end the choice is made by a child", "It takes a funeral to bring them together",
    "Only one of them will leave {place}", "The price is higher than anybody had said",
    "And then the bells begin to ring", "What is left is a photograph and a key",
)  # fmt: skip

SYLLABLES: Mapping[str, tuple[str, ...]] = {
    "fr": ("lé", "mar", "chau", "nou", "vel", "bri", "sé", "dor", "fleu", "ri", "cô", "gné", "tou", "pê", "lan", "su"),
    "de": ("wal", "ter", "grün", "schö", "berg", "len", "tü", "hof", "ma", "kel", "rau", "bin", "zeu", "stro", "de",
           "nau"),
    "es": ("ca", "ño", "rre", "lí", "mon", "te", "so", "lá", "bre", "que", "dal", "mi", "ra", "jue", "vo", "gan"),
    "ru": ("ба", "ло", "вик", "ме", "жа", "тор", "ни", "кры", "ще", "дом", "ря", "по", "лю", "сан", "гро", "ки"),
    "ja": ("カ", "ミ", "ノ", "ハ", "ル", "サ", "トウ", "リ", "ナ", "ソ", "ラ", "ヒ", "ケ", "モ", "ユ", "シ"),
    "hi": ("का", "मे", "रा", "सु", "नी", "लो", "पा", "ती", "दि", "वा", "शा", "हर", "गु", "बी", "जो", "ना"),
}  # fmt: skip
"""Language -> 16 syllables of which invented original titles are made."""

COUNTRIES: Mapping[str, tuple[str, str, str]] = {
    "en": ("United States of America", "US", "American"),
    "fr": ("France", "FR", "French"),
    "de": ("Germany", "DE", "German"),
    "es": ("Spain", "ES", "Spanish"),
    "ru": ("Russia", "RU", "Russian"),
    "ja": ("Japan", "JP", "Japanese"),
    "hi": ("India", "IN", "Indian"),
}
"""Language -> country, its code, and what comes from there."""

LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "fr": "French",
    "de": "German",
    "es": "Spanish",
    "ru": "Russian",
    "ja": "Japanese",
    "hi": "Hindi",
}
