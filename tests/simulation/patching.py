"""Loads a production module from changed source; nothing on the disk is touched."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from holdfast.tests.simulation.mutants import Mutant, Patch


def apply(mutant: Mutant) -> None:
    """Let every later import see the mutant. Raises RuntimeError if a module was imported before."""
    early = {patch.module for patch in mutant.patches} & set(sys.modules)
    if early:
        raise RuntimeError(f"imported before it was patched: {sorted(early)}")
    sys.meta_path.insert(0, _Finder(mutant))


def patched(source: str, patches: Sequence[Patch]) -> str:
    """Apply patches to a module's source. Raises ValueError unless each old text stands there once."""
    for patch in patches:
        if source.count(patch.old) != 1:
            raise ValueError(f"{patch.module} does not hold once: {patch.old}")
        source = source.replace(patch.old, patch.new)
    return source


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, patches: Sequence[Patch]) -> None:
        super().__init__(name, path)
        self._patches = patches

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode("utf-8")
        return compile(patched(source, self._patches), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._patches = mutant.patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        patches = [patch for patch in self._patches if patch.module == fullname]
        spec = PathFinder.find_spec(fullname, path) if patches else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, patches)
        return spec
