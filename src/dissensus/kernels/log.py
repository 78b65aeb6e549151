"""A natural logarithm that LLVM turns into vector code: integer tricks on the bits and a polynomial.

Within one unit in the last place of every float32, subnormal ones too. The mantissa is brought into [sqrt(1/2), sqrt(2)),
the polynomial is that of Cephes' ``logf``, and the exponent's share is added in two parts, the small one first.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from dissensus.kernels._jit import kernel

__all__ = ["TINY", "log_into", "log_normal"]

TINY = np.float32(1.1754943508222875e-38)  # the smallest normal number

_SUBNORMAL = np.float32(8388608.0)  # 2^23
_SQRT_HALF = np.int32(0x3F3504F3)
_MANTISSA = np.int32(0x007FFFFF)
_EXPONENT = np.int32(23)
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_P0 = np.float32(7.0376836292e-2)
_P1 = np.float32(-1.1514610310e-1)
_P2 = np.float32(1.1676998740e-1)
_P3 = np.float32(-1.2420140846e-1)
_P4 = np.float32(1.4249322787e-1)
_P5 = np.float32(-1.6668057665e-1)
_P6 = np.float32(2.0000714765e-1)
_P7 = np.float32(-2.4999993993e-1)
_P8 = np.float32(3.3333331174e-1)
_INFINITY = np.float32(np.inf)
_NAN = np.float32(np.nan)
_ZERO = np.float32(0.0)


def _bits(x: Any) -> Any:
    return np.float32(x).view(np.int32)


def _from_bits(x: Any) -> Any:
    return np.int32(x).view(np.float32)


if not numba.config.DISABLE_JIT:
    from numba.core import types
    from numba.extending import intrinsic

    def _bitcast(source: Any, target: Any, llvm_name: str) -> Any:
        def typed(typingctx: Any, x: Any) -> Any:
            def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                return builder.bitcast(args[0], context.get_value_type(target))

            return target(source), build

        typed.__name__ = llvm_name
        return intrinsic(typed)

    _bits = _bitcast(types.float32, types.int32, "bits")
    _from_bits = _bitcast(types.int32, types.float32, "from_bits")


@kernel(exact=True)
def log_normal(x: Any) -> Any:
    """``log(x)`` of a positive normal float32."""
    above = np.int32(_bits(x) - _SQRT_HALF)
    e = np.float32(np.int32(above >> _EXPONENT))
    f = _from_bits(np.int32((above & _MANTISSA) + _SQRT_HALF)) - _ONE
    z = f * f
    y = _P0 * f + _P1
    y = y * f + _P2
    y = y * f + _P3
    y = y * f + _P4
    y = y * f + _P5
    y = y * f + _P6
    y = y * f + _P7
    y = y * f + _P8
    y = y * f * z
    y = y + e * _LN2_LOW
    y = y - _HALF * z
    y = f + y
    return y + e * _LN2_HIGH


@kernel(exact=True)
def log_into(x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Write ``log(x)`` into ``out``: any float32; -inf at zero, NaN below."""
    for i in range(x.size):
        small = x[i] < TINY
        scaled = x[i] * _SUBNORMAL if small else x[i]
        y = log_normal(scaled) - (np.float32(23.0) * (_LN2_HIGH + _LN2_LOW) if small else _ZERO)
        y = y if x[i] > _ZERO else (-_INFINITY if x[i] == _ZERO else _NAN)
        out[i] = y if x[i] < _INFINITY else x[i]
