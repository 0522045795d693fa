"""The page on children and chains is run, on the test kit's platform."""

import asyncio
import contextlib
import importlib

import pytest

from holdfast.testing import Platform
from holdfast.tests.support import documents
from holdfast.tests.support.repository import ROOT

PAGE = ROOT / "docs" / "children.md"


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """The page's blocks as modules, by the names in their first lines."""
    blocks = [one.code for one in documents.snippets(PAGE) if one.language == "python"]
    names = [code.partition("\n")[0].removeprefix("# ").removesuffix(".py") for code in blocks]
    for name, code in zip(names, blocks, strict=True):
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return {name: importlib.import_module(name) for name in names}


def test_the_examples_run(modules):
    """Each gives what the page says, with one slot."""
    pages, chains = modules["pages"], modules["chains"]
    with Platform() as platform:
        urls = ["https://a.example", "https://b.example"]
        assert 4 == platform.run_task_sync(pages.survey, urls).result()
        assert platform.run_task_sync(pages.compare, urls[0], urls[0]).result()

        @contextlib.asynccontextmanager
        async def connect():
            """Be connected to the test's platform."""
            yield platform.client

        chains.connect = connect

        async def main() -> int:
            """Run the chain, and its jobs meanwhile."""
            return await platform.serve(chains.main())

        assert 3 == asyncio.run(main())
