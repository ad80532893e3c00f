"""Loaded by `make mutants` alone: Keras reads the arguments of `__init__`, which mutmut's wrappers hide."""

import functools
import gc
import inspect

from mutmut.mutation import trampoline


def wraps(function):
    def as_function(wrapper):
        wrapper = functools.wraps(function)(wrapper)
        if function.__name__ == "__init__":
            wrapper.__signature__ = inspect.signature(function)
        return wrapper

    return as_function


trampoline.wraps = wraps


def pytest_sessionstart():
    gc.freeze()  # each mutant is a fork: what is loaded already is not looked through again
