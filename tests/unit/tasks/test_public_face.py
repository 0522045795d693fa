"""`import holdfast` is quick, and shows its dozen names."""

import subprocess
import sys

import pytest

import holdfast


def test_importing_the_package_imports_nothing_else():
    """`holdfast probe` starts through it and has 50 ms in all."""
    code = (
        "import sys; before = set(sys.modules); import holdfast;"
        "print(*sorted(set(sys.modules) - before - {'holdfast'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set() == set(done.stdout.split()) - {"importlib", "importlib._bootstrap", "warnings"}


@pytest.mark.parametrize("name", holdfast.__all__)
def test_each_name_is_there(name):
    """And is what its home module holds, also after that module was imported."""
    value = getattr(holdfast, name)
    assert value is getattr(holdfast, name)
    assert name in dir(holdfast)
    assert getattr(value, "__name__", name) == name


def test_an_unknown_name_is_an_attribute_error():
    """As of every module."""
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = holdfast.nothing_here
