"""A state-space network step after step, compiled: what `models.statespace` computes where no gradient is asked for.

For the few steps of a short block the calls of torch's functions cost a hundred times the arithmetic.
"""

from __future__ import annotations

from models.kernels import Array, compiled


@compiled
def run(
    x: Array, enter: Array, enter_bias: Array, linear: Array, bias: Array, first: Array, new: Array, weight: Array,
    direct: Array, films: Array, second: Array, residual: Array, leave: Array, leave_bias: Array, h: Array, out: Array,
) -> None:  # fmt: skip
    """Writes what leaves the last layer, and the states.

    Args:
        x: level, ``(B, K, inputs)``.
        enter, enter_bias: ``(C, inputs)`` and ``(C,)``.
        linear, bias, first: of each layer, ``(L, C, C)``, ``(L, C)`` and slopes ``(L, C)``.
        new, weight, direct: of its averages, ``(L, C, N)`` twice and ``(L, C)``; new is 1 − exp(−1/T), which a number
            close to 1 could not tell.
        films: scale and shift, ``(L, B, K or 1, 2·C)``.
        second, residual: slopes and gains, ``(L, C)``.
        leave, leave_bias: ``(outputs, C)`` and ``(outputs,)``.
        h: states, ``(L, B, C, N)``; changed.
        out: ``(B, K, outputs)``; written.
    """
    layers, channels, states = new.shape
    signal, u = residual[0].copy(), residual[0].copy()
    for b in range(len(x)):
        for k in range(x.shape[1]):
            film = k if films.shape[2] > 1 else 0
            for c in range(channels):
                total = enter_bias[c]
                for i in range(x.shape[2]):
                    total += enter[c, i] * x[b, k, i]
                signal[c] = total
            for n in range(layers):
                for c in range(channels):
                    total = bias[n, c]
                    for i in range(channels):
                        total += linear[n, c, i] * signal[i]
                    u[c] = total if total > 0 else first[n, c] * total
                for c in range(channels):
                    total = direct[n, c] * u[c]
                    for s in range(states):
                        h[n, b, c, s] += new[n, c, s] * (u[c] - h[n, b, c, s])
                        total += weight[n, c, s] * h[n, b, c, s]
                    z = films[n, b, film, c] * total + films[n, b, film, channels + c]
                    signal[c] = residual[n, c] * signal[c] + (z if z > 0 else second[n, c] * z)
            for o in range(out.shape[2]):
                total = leave_bias[o]
                for c in range(channels):
                    total += leave[o, c] * signal[c]
                out[b, k, o] = total
