"""The two innermost loops of a convolution in vector instructions, for `models.kernels`.

Both are written for many outputs at once, so that what is loaded is used many times. All sums of a call stay in
registers, `OUTPUTS` × `VECTORS` of them:

- `correlate`: ``y[o, t] = Σ weight[p, o] · x[t + offset[p]]`` for `OUTPUTS` rows of y and `VECTORS` vectors of t;
- `accumulate`: ``total[p, o] += Σ g[o, t] · x[t + offset[p]]`` for `OUTPUTS` rows of g and `VECTORS` offsets.

An offset says where in memory a tap finds its input, whatever channel and delay that is. Of plain loops LLVM makes
vectors of 256 bits even where there are ones of 512, and which sums stay in registers is left to luck. Hence the code
is made of LLVM's vector types; LLVM makes of them what the machine has. (Numba's cache does not see a change of this
file: see `kernels.VECTORS_DIGEST`.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# Bytes of a vector, and rows at once. With a vector for each of `VECTORS` and one in common, the sums fill the 32
# registers of AVX-512, or the 16 of other machines; what has shorter ones takes two for a vector.
BYTES, OUTPUTS = (64, 8) if binding.get_host_cpu_features().get("avx512f") else (32, 4)
VECTORS = 3

Generated = tuple[Any, Callable[..., Any]]


class _Code:
    """Writes operations on arrays of one type of number, and vectors of it."""

    def __init__(self, context: Any, builder: Any, number: Any) -> None:
        self.context, self.builder = context, builder
        self.itemsize = number.bitwidth // 8
        self.lanes = BYTES // self.itemsize
        self.vector = ir.VectorType(context.get_data_type(number), self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def index(self, value: int) -> Any:
        return ir.Constant(self.context.get_value_type(types.intp), value)

    def at(self, kind: Any, array: Any, *indices: Any) -> Any:
        """Where in an array the number with the sum of all indices is."""
        first, *others = indices
        for other in others:
            first = self.builder.add(first, other)
        return self.builder.gep(self.context.make_array(kind)(self.context, self.builder, value=array).data, [first])

    def load(self, pointer: Any) -> Any:
        """The vector that begins there."""
        pointer = self.builder.bitcast(pointer, self.vector.as_pointer())
        return self.builder.load(pointer, align=self.itemsize)

    def store(self, vector: Any, pointer: Any) -> None:
        self.builder.store(vector, self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.itemsize)

    def filled(self, number: Any) -> Any:
        """A vector of one number."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        first = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, undefined, first)

    def variable(self, value: Any) -> Any:
        """Memory for a vector, of which the compiler makes a register."""
        variable = cgutils.alloca_once(self.builder, self.vector)
        self.builder.store(value, variable)
        return variable

    def add_product(self, variable: Any, a: Any, b: Any) -> None:
        """In one instruction and one rounding, where the machine has it."""
        product = self.builder.fmul(a, b, flags=("contract",))
        total = self.builder.fadd(self.builder.load(variable), product, flags=("contract",))
        self.builder.store(total, variable)


@intrinsic
def correlate(
    typing: Any, y: Any, y_at: Any, y_row: Any, rows: Any, x: Any, x_at: Any, offsets: Any, weight: Any, weight_at: Any,
    first: Any, last: Any,
) -> Generated:  # fmt: skip
    """``y[y_at + o · y_row + t] = Σ weight[weight_at + p · OUTPUTS + o] · x[x_at + offsets[p] + t]``.

    Over first ≤ p < last, for o < min(OUTPUTS, rows) and `VECTORS` vectors of t. Indices are those of flat arrays.
    """
    size = types.intp
    signature = types.void(y, size, size, size, x, size, offsets, weight, size, size, size)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        y_type, x_type, offsets_type, weight_type = (signature.args[n] for n in (0, 4, 6, 7))
        y, y_at, y_row, rows, x, x_at, offsets, weight, weight_at, first, last = values
        code = _Code(context, builder, x_type.dtype)
        sums = [[code.variable(code.zero) for _ in range(VECTORS)] for _ in range(OUTPUTS)]
        with cgutils.for_range_slice(builder, first, last, code.index(1), inc=True) as (p, _):
            offset = builder.load(code.at(offsets_type, offsets, p))
            met = [code.load(code.at(x_type, x, x_at, offset, code.index(v * code.lanes))) for v in range(VECTORS)]
            weights_at = builder.add(weight_at, builder.mul(p, code.index(OUTPUTS)))
            for o, row in enumerate(sums):
                factor = code.filled(builder.load(code.at(weight_type, weight, weights_at, code.index(o))))
                for variable, vector in zip(row, met, strict=True):
                    code.add_product(variable, vector, factor)
        for o, row in enumerate(sums):
            with builder.if_then(builder.icmp_signed("<", code.index(o), rows), likely=True):
                start = builder.add(y_at, builder.mul(y_row, code.index(o)))
                for v, variable in enumerate(row):
                    code.store(builder.load(variable), code.at(y_type, y, start, code.index(v * code.lanes)))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def accumulate(
    typing: Any, total: Any, total_at: Any, g: Any, g_at: Any, g_row: Any, x: Any, x_at: Any, offsets: Any, p: Any,
    count: Any,
) -> Generated:  # fmt: skip
    """``total[q · OUTPUTS + o] += Σ g[g_at + o · g_row + t] · x[x_at + offsets[p + q] + t]``, q < VECTORS, o < OUTPUTS.

    Over `count` vectors of t. The totals, from the number total_at on, are vectors: each lane is a sum of its own.
    """
    size = types.intp
    signature = types.void(total, size, g, size, size, x, size, offsets, size, size)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        total_type, g_type, x_type, offsets_type = (signature.args[n] for n in (0, 2, 5, 7))
        total, total_at, g, g_at, g_row, x, x_at, offsets, p, count = values
        code = _Code(context, builder, x_type.dtype)

        def cell(q: int, o: int) -> Any:
            return code.at(total_type, total, total_at, code.index((q * OUTPUTS + o) * code.lanes))

        sums = [[code.variable(code.load(cell(q, o))) for o in range(OUTPUTS)] for q in range(VECTORS)]
        taps = [builder.load(code.at(offsets_type, offsets, p, code.index(q))) for q in range(VECTORS)]
        with cgutils.for_range(builder, count) as loop:
            t = builder.mul(loop.index, code.index(code.lanes))
            met = [code.load(code.at(x_type, x, x_at, tap, t)) for tap in taps]
            for o in range(OUTPUTS):
                factor = code.load(code.at(g_type, g, g_at, builder.mul(g_row, code.index(o)), t))
                for q, vector in enumerate(met):
                    code.add_product(sums[q][o], vector, factor)
        for q, row in enumerate(sums):
            for o, variable in enumerate(row):
                code.store(builder.load(variable), cell(q, o))
        return context.get_dummy_value()

    return signature, generate
