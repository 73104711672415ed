"""Which traits the files of a change show."""

from apps.integrations.git_repository import GitRepository
from apps.releases.traits import ChangedPaths, Trait, by_paths

PATTERNS = {"INFRASTRUCTURE": ("deploy/*", "*.tf"), "SENSITIVE": ("src/accounts/*",)}


def shown(*changes: ChangedPaths) -> dict[str, str]:
    return {held.trait.value: held.why for held in by_paths(PATTERNS, changes)}


def test_the_first_file_that_matches_shows_a_trait_at_any_depth() -> None:
    found = shown(
        ChangedPaths("1.1.0", ["README.md", "deployment.md"]),
        ChangedPaths("1.2.0", ["deploy/chart/values.yaml", "deploy/x.yaml", "infra/a.tf"]),
        ChangedPaths("1.3.0", ["main.tf"]),
    )

    assert found == {"INFRASTRUCTURE": "1.2.0 changes deploy/chart/values.yaml"}


def test_where_not_all_files_are_known_each_trait_holds() -> None:
    found = shown(ChangedPaths("1.1.0", ["deploy/x"], is_whole=False))

    assert found["INFRASTRUCTURE"] == "1.1.0 changes deploy/x"
    assert found["SENSITIVE"] == "not all files that 1.1.0 changes are known"


def test_each_trait_has_words() -> None:
    assert all(trait.label and trait.phrase.split()[0] in {"a", "an"} for trait in Trait)


def test_a_repository_tells_what_differs_renamed_files_under_both_names(repository: GitRepository) -> None:
    first, *_, last = repository.tags().values()

    assert repository.changed_paths(None, first)
    assert repository.changed_paths(first, first) == []
    assert set(repository.changed_paths(first, last)) <= {
        *repository.changed_paths(None, first), *repository.changed_paths(None, last)
    }  # fmt: skip
