"""Which records of which sources are one thing: by their ids, then by titles, years and people."""

from __future__ import annotations

from rarec.corpus.by_ids import join_by_ids
from rarec.corpus.by_titles import join_by_titles
from rarec.corpus.clusters import Clusters, Links, Reason
from rarec.corpus.judging import Rules
from rarec.corpus.shared_ids import without_shared_ids
from rarec.corpus.traits import Traits
from rarec.progress import OnProgress


def resolve(traits: Traits, rules: Rules | None = None, *, progress: OnProgress | None = None) -> Clusters:
    """Group the records.

    No group has two ids of a namespace, every union has its evidence in `Clusters.joined`, and the groups do not
    depend on the order of the records.

    >>> from rarec.corpus.traits import read_traits  # doctest: +SKIP
    >>> resolve(read_traits(staging, ["imdb", "tmdb"], trusted=("imdb", "tmdb"))).labels  # doctest: +SKIP
    """
    rules = rules or Rules()
    traits, shared = without_shared_ids(traits)
    clusters = Clusters(traits)
    join_by_ids(clusters, rules, shared)
    if rules.by_title:
        join_by_titles(clusters, rules, progress=progress)
    return clusters


__all__ = ["Clusters", "Links", "Reason", "Rules", "resolve"]
