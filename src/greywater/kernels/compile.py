"""How kernels are compiled: the one decorator, and a cache folder named by a hash of every kernel source.

A changed callee in another file leaves a stale cached caller in Numba's own cache, so the cache folder's
name covers all kernel sources (SEMANTICS: Numba traps).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba as _numba

__all__ = ["Int", "Word", "cache_folder", "cache_is_cold", "fused_kernel", "inlined", "kernel", "kernel_hash"]

numba: Any = _numba

#: Inside a kernel: a Python int or an int64.
Int = Any
#: Inside a kernel: half of a 128-bit integer, uint64.
Word = Any

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def kernel_hash() -> str:
    """SHA-256 over the sources of all kernels and Numba's version, 16 hex digits."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def cache_folder() -> Path:
    """Folder of the compiled kernels: `$GREYWATER_KERNEL_CACHE`, else the user's cache, else the temporary folder."""
    named = os.environ.get("GREYWATER_KERNEL_CACHE")
    roots = [Path(named)] if named else []
    roots.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greywater")
    roots.append(Path(tempfile.gettempdir()) / f"greywater-{os.getuid()}")
    for root in roots:
        folder = root / f"kernels-{kernel_hash()}"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    return Path(tempfile.mkdtemp(prefix="greywater-kernels-"))


def cache_is_cold() -> bool:
    """True where no kernel of these sources was ever compiled on this machine."""
    if numba.config.DISABLE_JIT:
        return False
    return next(cache_folder().rglob("*.nbi"), None) is None


def kernel(function: Function) -> Function:
    """Compile `function` on first use, without the interpreter lock, cached on disk.

    Kernels allocate nothing: they are compiled without Numba's reference counting, whose atomic operations on
    every array of every call cost more than the work itself. Scratch space comes from the caller.

    Examples
    --------
    >>> @kernel
    ... def twice(x):
    ...     return x + x
    >>> twice(21)
    42
    """
    return _compiled(function)


def fused_kernel(function: Function) -> Function:
    """As `kernel`, but a product and the sum it goes into may be one instruction, rounded once.

    For networks, whose results are only ever compared with results of the same kernel.
    """
    return _compiled(function, fastmath={"contract"})


def _compiled(function: Function, **options: Any) -> Function:
    previous = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())
    held = _has_source_file(function)
    try:
        compiled = numba.njit(cache=held, nogil=True, error_model="numpy", _nrt=False, **options)(function)
    finally:
        numba.config.CACHE_DIR = previous
    return cast(Function, compiled)


def inlined(function: Function) -> Function:
    """As `kernel`, but copied into its callers: for the small functions of a hot loop, which take many arrays."""
    options = {"nogil": True, "error_model": "numpy", "_nrt": False, "inline": "always"}
    return cast(Function, numba.njit(**options)(function))


def _has_source_file(function: Callable[..., Any]) -> bool:
    return Path(function.__code__.co_filename).is_file()
