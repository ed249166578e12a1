"""Ask for a cache line before it is needed: one instruction, which Numba has no name for."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def prefetch(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Fetch the cache line of `array[row, column]` for reading; nothing happens where it is not."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(
            context, builder, signature.args[0], matrix, list(arguments[1:]), wraparound=False
        )
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
