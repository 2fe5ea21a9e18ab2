"""The recursion of an optical compressor in the dB domain: from a level to a gain, step by step, with its gradient.

    e  → a, the magnitude                              detector              level L = 20·log10(e + 10⁻⁵)
    u  = γ · W · softplus((L − φ·r − T) / W)           gain reduction that is asked for, soft knee of width W
    s  → w·u    rising with c_c, falling with c_d      slow part: fills while it is loud, lets go late
    f  → max(u − s, 0)                                 fast part: rising faster the more is asked for, falling with c_r
    r  = f + s;  m → M;  gain = m − r dB               M: make-up gain, which knobs move without a step

`a → b` with the coefficient c is ``a += c·(b − a)`` at each step; that of the fast part rising is ρ / (1 + ρ) with
ρ = ρ_a·(1 + q·u). φ = 0 is a feed-forward compressor, φ = 1 one with feedback; γ = 1 − 1/ratio for the former,
ratio − 1 for the latter. The slow part makes the release one of two stages, and dependent on the programme.

Both directions are loops compiled by numba: 40 ns a step forward, 70 ns backward; the steps are some thousand a second,
whatever the sample rate. The gradient is the exact one of what was computed (the adjoint recursion); at r = 0, where a
maximum has a corner, the left one. `scanned` is the same in functions of torch alone, for graphs of other runtimes.

torchcomp, a library of such recursions, has a feed-forward compressor of one stage: its level does not depend on its
own gain, which it does here.

Source: Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design", JAES 60(6), 2012; Wright and
Välimäki, "Grey-box modelling of dynamic range compression", DAFx 2022.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch._higher_order_ops import scan

from models.kernels import Array, compiled

FLOOR = 1e-5  # −100 dBFS
_DB = 20 / math.log(10)
COUNT = 4  # numbers in the state: e, s, f, m


class Ballistics(NamedTuple):
    """What a recursion goes by, each ``(N,)``; coefficients are of one step."""

    threshold: Tensor  # T, dBFS
    knee: Tensor  # W, dB
    slope: Tensor  # γ, dB asked for per dB above the threshold
    feedback: Tensor  # φ, 0 … 1
    detector: Tensor  # coefficient
    attack: Tensor  # ρ_a
    urgency: Tensor  # q, per dB
    release: Tensor  # c_r
    share: Tensor  # w, 0 … 1
    charge: Tensor  # c_c
    discharge: Tensor  # c_d
    makeup: Tensor  # M, dB
    glide: Tensor  # coefficient of the make-up gain


def gains(magnitude: Tensor, state: Tensor, ballistics: Ballistics) -> tuple[Tensor, Tensor]:
    """Gain in dB after each step, and the state after the last.

    Shape:
        magnitude ``(N, K)``, state ``(N, 4)`` → ``(N, K)`` and ``(N, 4)``; K ≥ 0.
    """
    states: Tensor = _Recursion.apply(magnitude, state, torch.stack(ballistics, dim=1))
    _, slow, fast, makeup = states[:, 1:].unbind(-1)
    return makeup - (slow + fast), states[:, -1]


def scanned(magnitude: Tensor, state: Tensor, ballistics: Ballistics, happens: Tensor) -> tuple[Tensor, Tensor]:
    """The same, for `torch.export`; a step k is left out unless ``happens[k]``."""
    parameters = torch.stack(ballistics)

    def step(before: Tensor, now: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        b = Ballistics(*parameters.unbind(0))
        a, happens = now
        e, slow, fast, makeup = before.unbind(-1)
        e = e + b.detector * (a - e)
        level = _DB * torch.log(e + FLOOR)
        v = (level - b.feedback * (slow + fast) - b.threshold) / b.knee
        u = b.slope * b.knee * (torch.clamp_min(v, 0) + torch.log1p(torch.exp(-torch.abs(v))))
        aim = b.share * u
        slow = slow + torch.where(aim > slow, b.charge, b.discharge) * (aim - slow)
        aim = torch.clamp_min(u - slow, 0)
        rho = b.attack * (1 + b.urgency * u)
        fast = fast + torch.where(aim > fast, rho / (1 + rho), b.release) * (aim - fast)
        makeup = makeup + b.glide * (b.makeup - makeup)
        after = torch.where(happens, torch.stack((e, slow, fast, makeup), dim=-1), before)
        return after, (makeup - (slow + fast))

    last, of_steps = scan(step, state, (magnitude.t().contiguous(), happens))
    return of_steps.t(), last


class _Recursion(torch.autograd.Function):
    """All states, ``(N, K + 1, 4)``, the first included."""

    @staticmethod
    def forward(ctx: Any, magnitude: Tensor, state: Tensor, parameters: Tensor) -> Tensor:
        a, start, p = (_array(tensor) for tensor in (magnitude, state, parameters))
        states = np.empty((len(a), a.shape[1] + 1, COUNT), a.dtype)
        states[:, 0] = start
        _forward(a, p, states)
        kept = torch.from_numpy(states)
        ctx.save_for_backward(magnitude, parameters, kept)
        return kept.to(magnitude.device)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        magnitude, parameters, states = ctx.saved_tensors
        a, p, g = (_array(tensor) for tensor in (magnitude, parameters, grad))
        of_a, of_start, of_p = np.empty_like(a), np.empty((len(a), COUNT), a.dtype), np.zeros(p.shape)
        _backward(a, p, states.numpy(), g, of_a, of_start, of_p)
        found = (torch.from_numpy(array).to(parameters) for array in (of_a, of_start, of_p))
        return tuple(found)  # type: ignore[return-value]


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().contiguous().numpy()


@compiled
def _next(a: float, e: float, slow: float, fast: float, makeup: float, p: Array) -> tuple[float, float, float, float]:
    """A step."""
    threshold, knee, slope, feedback, detector, attack, urgency = p[:7]
    release, share, charge, discharge, target, glide = p[7:]
    e += detector * (a - e)
    v = (_DB * np.log(e + FLOOR) - feedback * (slow + fast) - threshold) / knee
    u = slope * knee * (max(v, 0.0) + np.log1p(np.exp(-abs(v))))
    aim = share * u
    slow += (charge if aim > slow else discharge) * (aim - slow)
    aim = max(u - slow, 0.0)
    rho = attack * (1 + urgency * u)
    fast += (rho / (1 + rho) if aim > fast else release) * (aim - fast)
    makeup += glide * (target - makeup)
    return e, slow, fast, makeup


@compiled
def _forward(a: Array, p: Array, states: Array) -> None:
    for n in range(len(a)):
        e, slow, fast, makeup = states[n, 0]
        for k in range(a.shape[1]):
            e, slow, fast, makeup = _next(a[n, k], e, slow, fast, makeup, p[n])
            states[n, k + 1, 0] = e
            states[n, k + 1, 1] = slow
            states[n, k + 1, 2] = fast
            states[n, k + 1, 3] = makeup


@compiled
def live(x: Array, hop: int, phase: int, p: Array, cell: Array, line: Array, y: Array) -> int:
    """Samples as they come, with the gain of `models.sidechain`: writes y, and returns the phase after them.

    Args:
        x: ``(N, T)``.
        hop: samples of a step.
        phase: samples since the last step.
        p: parameters, ``(N, 13)``.
        cell: the state, ``(N, 4)``; changed.
        line: of each row the sum of magnitudes since the last step and the last two gains as factors, ``(N, 3)``;
            changed.
        y: ``(N, T)``; written.
    """
    after = phase
    for n in range(len(x)):
        e, slow, fast, makeup = cell[n]
        total, before, now = line[n]
        after = phase
        for t in range(x.shape[1]):
            after += 1
            total += abs(x[n, t])
            y[n, t] = x[n, t] * (before + (now - before) * after / hop)
            if after == hop:
                e, slow, fast, makeup = _next(total / hop, e, slow, fast, makeup, p[n])
                before, now = now, np.exp((makeup - (slow + fast)) / _DB)
                after, total = 0, 0.0
        cell[n, 0], cell[n, 1], cell[n, 2], cell[n, 3] = e, slow, fast, makeup
        line[n, 0], line[n, 1], line[n, 2] = total, before, now
    return after


@compiled
def _backward(a: Array, p: Array, states: Array, grad: Array, of_a: Array, of_start: Array, of_p: Array) -> None:
    """The adjoint: from the gradient of all states those of magnitudes, first state and parameters."""
    for n in range(len(a)):
        threshold, knee, slope, feedback, detector, attack, urgency = p[n, :7]
        release, share, charge, discharge, target, glide = p[n, 7:]
        to_e, to_slow, to_fast, to_makeup = 0.0, 0.0, 0.0, 0.0
        for k in range(a.shape[1] - 1, -1, -1):
            before_e, before_slow, before_fast, before_makeup = states[n, k]
            e, slow = states[n, k + 1, 0], states[n, k + 1, 1]
            to_e += grad[n, k + 1, 0]
            to_slow += grad[n, k + 1, 1]
            to_fast += grad[n, k + 1, 2]
            to_makeup += grad[n, k + 1, 3]
            # What the step computed on its way.
            v = (_DB * np.log(e + FLOOR) - feedback * (before_slow + before_fast) - threshold) / knee
            softplus = max(v, 0.0) + np.log1p(np.exp(-abs(v)))
            u = slope * knee * softplus
            # make-up
            of_p[n, 11] += glide * to_makeup
            of_p[n, 12] += (target - before_makeup) * to_makeup
            to_makeup *= 1 - glide
            # fast part
            to_u = 0.0
            aim = max(u - slow, 0.0)
            of_c = (aim - before_fast) * to_fast
            if aim > before_fast:
                rho = attack * (1 + urgency * u)
                c = rho / (1 + rho)
                of_rho = of_c / ((1 + rho) * (1 + rho))
                of_p[n, 5] += of_rho * (1 + urgency * u)
                of_p[n, 6] += of_rho * attack * u
                to_u += of_rho * attack * urgency
            else:
                c = release
                of_p[n, 7] += of_c
            if u > slow:
                to_u += c * to_fast
                to_slow -= c * to_fast
            to_fast *= 1 - c
            # slow part
            aim = share * u
            rises = aim > before_slow
            c = charge if rises else discharge
            of_p[n, 9 if rises else 10] += (aim - before_slow) * to_slow
            of_p[n, 8] += c * to_slow * u
            to_u += c * to_slow * share
            to_slow *= 1 - c
            # knee
            to_v = to_u * slope * knee / (1 + np.exp(-v))
            of_p[n, 2] += to_u * knee * softplus
            of_p[n, 1] += to_u * slope * softplus - to_v * v / knee
            of_p[n, 0] -= to_v / knee
            of_p[n, 3] -= to_v * (before_slow + before_fast) / knee
            to_slow -= to_v * feedback / knee
            to_fast -= to_v * feedback / knee
            # detector
            to_e += to_v / knee * _DB / (e + FLOOR)
            of_p[n, 4] += (a[n, k] - before_e) * to_e
            of_a[n, k] = detector * to_e
            to_e *= 1 - detector
        of_start[n, 0] = to_e + grad[n, 0, 0]
        of_start[n, 1] = to_slow + grad[n, 0, 1]
        of_start[n, 2] = to_fast + grad[n, 0, 2]
        of_start[n, 3] = to_makeup + grad[n, 0, 3]
