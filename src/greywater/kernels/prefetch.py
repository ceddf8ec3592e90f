"""Asks the processor for memory that a kernel will want a few payments later; changes no value."""

from __future__ import annotations

from typing import Any

import numba as _numba
from llvmlite import ir
from numba.core import cgutils as _cgutils
from numba.core import types
from numba.extending import intrinsic

numba: Any = _numba
cgutils: Any = _cgutils


def _codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, arguments[0])
    strides = cgutils.unpack_tuple(builder, array.strides)
    row = builder.mul(arguments[1], strides[0])
    base = builder.ptrtoint(array.data, row.type)
    place = builder.add(builder.add(base, row), arguments[2])
    pointer_type = ir.IntType(8).as_pointer()
    number = ir.IntType(32)
    hint = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [pointer_type, number, number, number]),
        "llvm.prefetch.p0i8",
    )
    builder.call(hint, [builder.inttoptr(place, pointer_type), number(0), number(3), number(1)])
    return context.get_dummy_value()


def _declare(typing_context: Any, array: Any, row: Any, offset: Any) -> Any:
    if isinstance(array, types.Array):
        return types.void(array, types.int64, types.int64), _codegen
    return None


def _nothing(array: Any, row: int, offset: int) -> None:
    """Without compilation there is nothing to hint at."""


#: prefetch(array, row, offset): bring the cache line at byte `offset` of a row nearer.
prefetch: Any = _nothing if numba.config.DISABLE_JIT else intrinsic(_declare)
