"""The READMEs that installed packages carry in their metadata: real documents on every machine."""

from importlib.metadata import Distribution, PackageMetadata, distributions

from holdfast.tasks.agents.digest.document import NamedText

_SUFFIXES = {"text/markdown": ".md", "text/plain": ".txt", "text/x-rst": ".rst"}
_LEAST_CHARACTERS = 200


def installed_readmes() -> tuple[NamedText, ...]:
    """Return the long description of each installed distribution, named after it and sorted by name.

    Descriptions of a line or two, and those without text, are left out. The
    text is as the metadata gives it, so it may differ in its line ends from
    the file that its authors wrote.
    """
    found: dict[str, NamedText] = {}
    for distribution in distributions():
        readme = _readme_of(distribution)
        if readme is not None:
            found.setdefault(readme.name.lower(), readme)
    return tuple(found[name] for name in sorted(found))


def _readme_of(distribution: Distribution) -> NamedText | None:
    metadata = distribution.metadata
    name, text, declared = (
        _field(metadata, key) for key in ("Name", "Description", "Description-Content-Type")
    )
    if not name or len(text) < _LEAST_CHARACTERS:
        return None
    suffix = _SUFFIXES.get(declared.partition(";")[0].strip().lower(), ".rst")
    return NamedText(f"{name}{suffix}", text)


def _field(metadata: PackageMetadata, key: str) -> str:
    return metadata[key] if key in metadata else ""  # noqa: SIM401 - the protocol of metadata has no `get`
