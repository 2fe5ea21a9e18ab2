"""The TCN for live use, micro-TCN: few blocks of large dilation, whose last one alone is heard.

Otherwise it is the network of `models.tcn`. With its defaults it is the published TCN-300-C: causal, a receptive field
of 13,333 samples, 302 ms at 44.1 kHz, 40 k multiplications a sample. As there, a new one is the identity.

Source: Steinmetz and Reiss, "Efficient neural networks for real-time modeling of analog dynamic range compression", AES
152, 2022.
"""

from __future__ import annotations

from torch import nn

from models.tcn import TCN


class MicroTCN(TCN):
    """The network of this module's text; arguments, shapes and errors as for `TCN`.

    Example:
        >>> net = MicroTCN()
        >>> net.receptive_field, net.lookahead
        (13333, 0)
    """

    adds_up = False
    widths = (16, 32, 32)
    bends = nn.ReLU

    def __init__(
        self,
        blocks: int = 4,
        kernel_size: int = 13,
        channels: int = 32,
        dilation_growth: int = 10,
        controls: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        causal: bool = True,
        norm: str = "batch",
    ) -> None:
        super().__init__(
            blocks, kernel_size, channels, dilation_growth, controls, in_channels, out_channels, causal, norm
        )
