"""A small store with real parts: vectors come over HTTP from a server on loopback, the models are untrained."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rarec.testing import FakeEmbeddings, FakeOpenAIServer
from rarec.types import Item, ItemId

MakeStore = Callable[[str], Path]

_TITLES = (
    "Salt and Rye", "The Blue Tram", "Quiet Harbour", "Nine Lanterns", "Copper Moth", "A Winter of Kites",
    "The Clockmaker's Sister", "Low Tide Radio", "Marzipan", "The Last Ferry North", "Orchard Street", "Glass Onions",
    "Her Third Umbrella", "The Salt Road", "Paper Lions", "Midnight Bakery", "The Cartographer", "Seven Small Rooms",
    "Ash and Honey", "The Tin Orchestra",
)  # fmt: skip
_GENRES = ("Drama", "Comedy", "Horror", "Romance")


@pytest.fixture(scope="session")
def small_catalogue() -> tuple[Item, ...]:
    """Twenty invented items; years 1980 to 2018, every second year."""
    return tuple(
        Item(
            ItemId(title.casefold().replace(" ", "-")),
            title,
            f"A story about {title.split()[-1].casefold()}.",
            1980 + 2 * number,
            {"genres": (_GENRES[number % 4],), "countries": ("Japan" if number % 2 or number > 11 else "Peru",)},
            popularity=float(100 - number),
        )
        for number, title in enumerate(_TITLES)
    )


@pytest.fixture(scope="session")
def vector_server() -> Iterator[FakeOpenAIServer]:
    with FakeOpenAIServer(embeddings=FakeEmbeddings(dimension=32)) as server:
        yield server


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory, vector_server: FakeOpenAIServer) -> Path:
    """An untrained retriever and ranker for the server's vectors."""
    from rarec.embed import OpenAIEmbedder
    from rarec.ranker.model import Ranker, RankerConfig
    from rarec.retriever.bundle import save_model, save_retriever
    from rarec.retriever.model import Retriever, RetrieverConfig

    folder = tmp_path_factory.mktemp("models") / "bundle"
    name = OpenAIEmbedder("words", base_url=vector_server.url, dimension=32).name
    shape = RetrieverConfig(text_dimension=32, width=8, item_hidden=16, blocks=1)
    save_retriever(folder, Retriever(shape, seed=0), embedder=name, training={})
    config = RankerConfig(text_dimension=32)
    save_model(folder, Ranker(config, seed=0), kind="ranker", config=config, embedder=name, training={})
    return folder


@pytest.fixture
def make_store(
    tmp_path: Path, small_bundle: Path, vector_server: FakeOpenAIServer, small_catalogue: tuple[Item, ...]
) -> MakeStore:
    """Makes a store of that name with the small catalogue."""
    from rarec.assembly import create_store
    from rarec.catalogue import CatalogueStore

    def make(name: str) -> Path:
        paths = create_store(tmp_path / name, bundle=small_bundle)
        embedder = f'kind = "openai"\nmodel = "words"\nbase_url = "{vector_server.url}"\ndimension = 32\n'
        paths.settings.write_text(f"[embedder]\n{embedder}", encoding="utf-8")
        with CatalogueStore.open(paths.catalogue) as catalogue:
            catalogue.add(small_catalogue)
        return tmp_path / name

    return make
