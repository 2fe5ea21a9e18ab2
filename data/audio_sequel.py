"""Whether samples that the header of a file does not count go on with its audio, or are bytes of another kind."""

import numpy as np

_FEWEST = 64  # frames: no recorder writes less at a time, and of less nothing can be told
_LOUDEST = 2.0**16  # no sample of floating point is beyond it, not even in the steps of 16 bits
_WHITE = 1.2  # von Neumann's ratio of bytes without order is 2, that of music mostly below 0.5


def goes_on(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether `after` may be the audio that follows on `before`.

    Bytes of another kind, read as samples, are without order: their von Neumann ratio, the mean square of x[t] − x[t−1]
    over the variance of x, is near 2; and they jump more than the audio before them. In floating point most of them are
    huge.

    Shape:
        before, after: (frames, channels)

    Source: J. von Neumann, "Distribution of the ratio of the mean square successive difference to the variance", 1941.
    """
    if len(after) < _FEWEST or not np.abs(after).max() <= _LOUDEST:  # NaN is not below either
        return False
    variance = float(after.var(axis=0).mean())
    jumps = _jumps(after)
    return variance > 0 and (jumps < _WHITE * variance or jumps < 2 * _jumps(before))


def _jumps(x: np.ndarray) -> float:
    return float(np.square(np.diff(x, axis=0)).mean()) if len(x) > 1 else 0.0
