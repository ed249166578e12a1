"""Two things that the processor can and Numba has no name for.

`prefetch` asks for a cache line before it is needed. `add_sixteen` adds sixteen numbers at once: a
loop that Numba makes vectors of asks anew for each short row whether its arrays overlap, which
takes longer than the row.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: Numbers that `add_sixteen` adds.
LANES = 16


@intrinsic
def prefetch(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Fetch the cache line of `array[row, column]` for reading; nothing happens where it is not."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1:])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
            "llvm.prefetch.p0i8",
        )
        read, near, data = number(0), number(3), number(1)
        builder.call(function, [builder.bitcast(pointer, byte), read, near, data])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


@intrinsic
def add_sixteen(
    typing_context: Any, total: Any, column: Any, array: Any, row: Any, times: Any
) -> Any:
    """`total[column + k] += times * array[row, column + k]` for k from 0 to 15.

    total : float32, contiguous. array : float32 or integers, rows contiguous. The sixteen must be
    there: nothing is checked.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, column, rows, row, times = arguments
        kinds = signature.args
        floats = ir.VectorType(ir.FloatType(), LANES)
        place = _pointer(context, builder, kinds[0], sums, [column])
        place = builder.bitcast(place, floats.as_pointer())
        source = _pointer(context, builder, kinds[2], rows, [row, column])
        kind = kinds[2].dtype
        if isinstance(kind, types.Integer):
            integers = ir.VectorType(ir.IntType(kind.bitwidth), LANES)
            loaded = builder.load(builder.bitcast(source, integers.as_pointer()))
            loaded.align = kind.bitwidth // 8
            values = builder.sitofp(loaded, floats)
        else:
            values = builder.load(builder.bitcast(source, floats.as_pointer()))
            values.align = 4
        before = builder.load(place)
        before.align = 4
        one = builder.insert_element(ir.Constant(floats, ir.Undefined), times, ir.IntType(32)(0))
        none = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        factor = builder.shuffle_vector(one, ir.Constant(floats, ir.Undefined), none)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(floats, [floats, floats, floats]),
            f"llvm.fmuladd.v{LANES}f32",
        )
        after = builder.store(builder.call(function, [values, factor, before]), place)
        after.align = 4
        return context.get_dummy_value()

    return types.void(total, types.intp, array, types.intp, types.float32), generate


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """To an element of a Numba array."""
    made = context.make_array(kind)(context, builder, array)
    return cgutils.get_item_pointer(context, builder, kind, made, list(index), wraparound=False)
