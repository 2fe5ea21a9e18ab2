"""What all losses share: shape check, precision, pooling, reduction, and the weighted sum of losses.

Every loss here is a function of a few sums over samples, or over time–frequency bins. `Loss.statistics` gives
these sums for each item and channel, `Loss.value` turns sums into the loss. Sums add up: a score over many
items can be accumulated in small batches and does not depend on their size.
"""

import copy
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from itertools import chain
from typing import Any, ParamSpec, Self, cast

import torch
from torch import Tensor

P = ParamSpec("P")
Output = Tensor | tuple[Tensor | list[Tensor], ...]
"""What a loss returns: a tensor, or the loss and its terms."""
Lengths = Tensor | Sequence[int]
"""Samples of each item of a batch that is padded to the longest."""


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise a `ValueError` that lists the choices if `value` is none of them."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}.")


def check_shapes(name: str, input: Tensor, target: Tensor) -> None:
    """Raise a `ValueError` unless both tensors are real, not empty, and have one and the same shape."""
    if input.shape != target.shape:
        raise ValueError(
            f"{name}: input {tuple(input.shape)} and target {tuple(target.shape)} must have the same shape."
        )
    if input.ndim == 0 or input.numel() == 0:
        raise ValueError(f"{name}: input and target of shape {tuple(input.shape)} hold no samples.")
    if not (input.is_floating_point() and target.is_floating_point()):
        raise ValueError(f"{name}: needs floating-point audio, got {input.dtype} and {target.dtype}.")


def common_type(input: Tensor, target: Tensor) -> torch.dtype:
    """The precision in which a loss of both is computed: the finer of the two, float32 or finer."""
    return torch.promote_types(torch.promote_types(input.dtype, target.dtype), torch.float32)


def reduce(values: Tensor, reduction: str) -> Tensor:
    """Apply `"mean"`, `"sum"` or `"none"` to the values of all items and channels."""
    if reduction == "mean":
        return values.mean()
    return values.sum() if reduction == "sum" else values


def computed_once(build: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Compute a constant once, on the CPU, and hand out copies on the default device.

    A copy, because a buffer is written to: by `load_state_dict`, or by DDP. Never an inference tensor, since later
    callers may need gradients.
    """
    cached = cast(Callable[P, Tensor], lru_cache(maxsize=128)(build))

    @wraps(build)
    def copy(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device = torch.empty(0).device  # torch.get_default_device() of torch 2.6 does not see `with torch.device(…)`
        with torch.inference_mode(False), torch.device("cpu"):
            return cached(*args, **kwargs).to(device, copy=True)

    return copy


class Constants(torch.nn.Module):
    """A module whose buffers (windows, filterbanks, taps) follow `.to(device)` but keep their precision.

    Training in pure bfloat16 casts every module. A window of 8 bits would make it another loss.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def follow(tensor: Tensor) -> Tensor:
            # A tensor on meta holds nothing to keep.
            return fn(tensor) if tensor.is_meta else tensor.to(fn(tensor.new_empty(0)).device)

        return super()._apply(follow, recurse)


class Loss(Constants):
    """Base of all losses. A new loss defines `size`, `_statistics` and `_value`.

    Half-precision input is computed in float32 with autocast off; float64 stays float64.

    Args:
        reduction: `"mean"` or `"sum"` over the values of all items and channels, or `"none"`: one value per
            item and channel.
        pool: `"item"` computes one value per item and channel. `"batch"` adds up the statistics of all items
            and channels first, so that a loss that is a ratio becomes one ratio for the whole batch.

    Shape:
        - input, target: `[*, T]`, usually `(batch, channels, samples)`.
        - lengths: `(batch,)`, of items that are padded at their ends: what is beyond does not exist for the loss.
        - output: a scalar; `[*]` for `reduction="none"`, `pool="item"`.

    Raises:
        ValueError: if input and target differ in shape, are empty, or are not floating point.

    >>> class QuarticLoss(Loss):
    ...     size = 2
    ...
    ...     def _statistics(self, input, target):
    ...         return (input - target).pow(4).sum(-1), torch.full_like(input[..., 0], input.shape[-1])
    ...
    ...     def _value(self, total, count):
    ...         return total / count
    >>> QuarticLoss(reduction="none")(torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[1.0, 1.0]]]))
    tensor([[8.]])
    """

    size: int
    """How many statistics there are per item and channel."""
    score_sign: int = 1
    """−1 for a loss that is the negative of a score, which an evaluation shows in its natural sign."""
    unit: str = ""
    """Unit of the loss, `"dB"` or none."""
    random: bool = False
    """Whether it draws something at random for every call, apart from what its parts draw."""
    _value: Callable[..., Tensor]
    """The loss from its statistics, `size` tensors `[*]` → `[*]`."""

    def __init__(self, reduction: str = "mean", pool: str = "item") -> None:
        super().__init__()
        check_choice("reduction", reduction, ("mean", "sum", "none"))
        check_choice("pool", pool, ("item", "batch"))
        self.reduction = reduction
        self.pool = pool

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """The statistics, `[*, T]` → `size` tensors `[*]`; each is a sum over samples or bins."""
        raise NotImplementedError

    def _terms(self, *statistics: Tensor) -> dict[str, Tensor]:
        """The named terms that the loss is made of, before their weights, `[*]` each."""
        return {}

    def _prepared(self, target: Tensor) -> Any:
        """What `_against` needs of a target, `[*, T]`."""
        return target

    def _against(self, input: Tensor, prepared: Any) -> tuple[Tensor, ...]:
        """The statistics of an input and a prepared target."""
        return self._statistics(input, prepared)

    def _checked(self, input: Tensor, target: Tensor, lengths: Lengths | None) -> tuple[Tensor, ...]:
        check_shapes(type(self).__name__, input, target)
        counts = None if lengths is None else self._counts(input, lengths)
        compute = self._computed
        if any(isinstance(module, Loss) and module.random for module in self.modules()):
            # A compiled graph would be of no use to the next draw.
            compute = torch.compiler.disable(self._drawn_once) if torch.compiler.is_compiling() else self._drawn_once
        return compute(input, target, counts)

    def _drawn_once(self, input: Tensor, target: Tensor, counts: Tensor | None) -> tuple[Tensor, ...]:
        """As `_computed`, with one draw for all of a call, that fits the shortest of its signals."""
        shortest = input.shape[-1] if counts is None else int(counts.min())
        return self._of_call(shortest, input.device)._computed(input, target, counts)

    def _computed(self, input: Tensor, target: Tensor, counts: Tensor | None) -> tuple[Tensor, ...]:
        dtype = common_type(input, target)
        with torch.autocast(input.device.type, enabled=False):
            if counts is None:
                return self._statistics(input.to(dtype), target.to(dtype))
            return self._of_lengths(input.to(dtype), target.to(dtype), counts)

    def draw(
        self, source: int | torch.Generator, samples: int | None = None, device: torch.device | None = None
    ) -> "Loss":
        """This loss with all frozen that it and its parts draw at random for every call: the same for the same seed.

        Args:
            source: seed or generator.
            samples: length of the shortest signal.
            device: where to make what is drawn.
        """
        return self._of_parts(lambda part: part.draw(source, samples, device))

    def _of_call(self, samples: int, device: torch.device) -> "Loss":
        """This loss for one call, with all drawn that it and its parts draw at random."""
        return self._of_parts(lambda part: part._of_call(samples, device))

    def _of_parts(self, replaced: Callable[["Loss"], "Loss"]) -> "Loss":
        """This loss with each of its parts replaced; itself if they are replaced by themselves."""
        parts = {name: part for name, part in self.named_children() if isinstance(part, Loss)}
        return self._with({name: replaced(part) for name, part in parts.items()})

    def _with(self, modules: Mapping[str, torch.nn.Module]) -> Self:
        """A copy with these submodules and all else shared; itself if it has them already."""
        if all(module is self._modules[name] for name, module in modules.items()):
            return self
        copied = copy.copy(self)
        copied._modules = {**self._modules, **modules}
        return copied

    def _counts(self, input: Tensor, lengths: Lengths) -> Tensor:
        """The samples of each item, once it is known that they fit."""
        counts = torch.as_tensor(lengths).cpu()
        if counts.shape != input.shape[:1] or input.ndim < 2 or counts.is_floating_point():
            raise ValueError(
                f"{type(self).__name__}: needs a whole number of samples for each item of {tuple(input.shape)}, got "
                f"lengths={lengths}."
            )
        if counts.min() < 1 or counts.max() > input.shape[-1]:
            raise ValueError(f"{type(self).__name__}: lengths={lengths} must be from 1 to {input.shape[-1]} samples.")
        return counts

    def _of_lengths(self, input: Tensor, target: Tensor, counts: Tensor) -> tuple[Tensor, ...]:
        """The statistics of items that are padded at their ends; those of one length are computed together."""
        items = [(counts == count).nonzero().flatten().to(input.device) for count in counts.unique()]
        parts = [
            self._statistics(input[chosen, ..., :count], target[chosen, ..., :count])
            for chosen, count in zip(items, counts.unique().tolist(), strict=True)
        ]
        order = torch.cat(items).argsort()
        return tuple(torch.cat(part)[order] for part in zip(*parts, strict=True))

    def _pooled(self, statistics: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """What `_value` is applied to: the statistics of each item and channel, or their sums over the batch."""
        return statistics if self.pool == "item" else tuple(statistic.sum() for statistic in statistics)

    def statistics(self, input: Tensor, target: Tensor, lengths: Lengths | None = None) -> Tensor:
        """The additive statistics of each item and channel, `[*, T]` → `[*, size]`.

        They come in the precision of the computation; sum many of them in float64.
        """
        return self._stacked(self._checked(input, target, lengths))

    def _stacked(self, statistics: tuple[Tensor, ...]) -> Tensor:
        """`[*, size]`. What an item has once stands for each of its channels; in equal parts, if they are added up."""
        shape = torch.broadcast_shapes(*(statistic.shape for statistic in statistics))
        if self.pool == "batch":
            statistics = tuple(s if s.shape == shape else s * (s.numel() / shape.numel()) for s in statistics)
        return torch.stack([statistic.expand(shape) for statistic in statistics], -1)

    def value(self, statistics: Tensor) -> Tensor:
        """The loss from its statistics, `[*, size]` → `[*]`."""
        return self._value(*statistics.unbind(-1))

    def forward(self, input: Tensor, target: Tensor, lengths: Lengths | None = None) -> Output:
        return self._result(*self._pooled(self._checked(input, target, lengths)))

    def _result(self, *statistics: Tensor) -> Output:
        """What a call returns, from pooled statistics."""
        return reduce(self._value(*statistics), self.reduction)

    def bind(self, target: Tensor) -> "Bound":
        """This loss of one target, of which all that does not depend on the input is computed once.

        For many inputs with one target: the outputs of several models, or a sound that is optimised towards another. A
        spectral loss keeps the target's magnitudes, which is where most of its memory goes. What is drawn at random is
        drawn once, so that inputs can be compared.

        >>> from auraloss.time import L1Loss
        >>> bound = L1Loss().bind(torch.tensor([1.0, 2.0]))
        >>> bound(torch.tensor([1.0, 4.0])).item(), bound(torch.tensor([2.0, 2.0])).item()
        (1.0, 0.5)
        """
        return Bound(self, target)

    def report(self, input: Tensor, target: Tensor, lengths: Lengths | None = None) -> dict[str, Tensor]:
        """The loss under the name `"loss"`, and its terms under theirs, from one pass and reduced alike.

        >>> from auraloss.time import L1Loss, MSELoss
        >>> both = WeightedSum({"l1": L1Loss(), "mse": MSELoss()}, {"l1": 1.0, "mse": 0.5})
        >>> {name: term.item() for name, term in both.report(torch.tensor([1.0, 3.0]), torch.zeros(2)).items()}
        {'loss': 4.5, 'l1': 2.0, 'mse': 5.0}
        """
        return self._named(*self._pooled(self._checked(input, target, lengths)))

    def _named(self, *statistics: Tensor) -> dict[str, Tensor]:
        """What `report` returns, from pooled statistics."""
        named = {"loss": self._value(*statistics), **self._terms(*statistics)}
        return {name: reduce(term, self.reduction) for name, term in named.items()}

    def __repr__(self) -> str:
        """The call that makes this loss, without the arguments left at their defaults."""
        arguments: list[str] = []
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments += [f"{key}={value!r}" for key, value in getattr(self, name).items()]
            elif name != "self" and (value := getattr(self, name)) != parameter.default:
                arguments.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"


class Bound:
    """A loss of one target, see `Loss.bind`. It has no gradient with respect to the target.

    Args:
        loss: any loss.
        target: `[*, T]`. It is not copied: write nothing into it.

    >>> from auraloss.time import L1Loss
    >>> Bound(L1Loss(reduction="sum"), torch.zeros(2, 1)).report(torch.tensor([[1.0], [3.0]]))
    {'loss': tensor(4.)}
    """

    def __init__(self, loss: Loss, target: Tensor) -> None:
        check_shapes(type(loss).__name__, target, target)
        self.loss = loss
        self.target = target.detach()
        self._drawn = loss._of_call(target.shape[-1], target.device)
        self._of_type: dict[torch.dtype, Any] = {}  # the target prepared in each precision that was asked for

    def statistics(self, input: Tensor) -> Tensor:
        """As `Loss.statistics`."""
        return self.loss._stacked(self._checked(input))

    def report(self, input: Tensor) -> dict[str, Tensor]:
        """As `Loss.report`."""
        return self.loss._named(*self.loss._pooled(self._checked(input)))

    def __call__(self, input: Tensor) -> Output:
        return self.loss._result(*self.loss._pooled(self._checked(input)))

    def _checked(self, input: Tensor) -> tuple[Tensor, ...]:
        check_shapes(type(self.loss).__name__, input, self.target)
        dtype = common_type(input, self.target)
        with torch.autocast(input.device.type, enabled=False):
            if dtype not in self._of_type:
                # Never inference tensors: a later input may need a gradient.
                with torch.inference_mode(False), torch.no_grad():
                    target = self.target.clone() if self.target.is_inference() else self.target
                    self._of_type[dtype] = self._drawn._prepared(target.to(dtype))
            return self._drawn._against(input.to(dtype), self._of_type[dtype])

    def __repr__(self) -> str:
        return f"{self.loss!r}.bind({tuple(self.target.shape)})"


class WeightedSum(Loss):
    """Weighted sum of named losses, `Σ wᵢ·Lᵢ`, e.g. ESR + DC. `report` gives each of them.

    Args:
        losses: the losses by name; each keeps its own `reduction` and `pool`, which must be the same for all.
        weights: a weight for each name; 1 for every loss if left out.

    Shape:
        - output: a scalar; `[*]` for `reduction="none"`, or `[*, 1]` if one of the losses has one value for an item:
          those of the others are then averaged over its channels. `statistics` repeats an item's for each channel.

    >>> from auraloss.time import DCLoss, ESRLoss
    >>> loss = WeightedSum({"esr": ESRLoss(), "dc": DCLoss()}, {"esr": 1.0, "dc": 0.5})
    >>> loss(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[1.0, -1.0]]])).item()
    2.5

    Raises:
        ValueError: for no losses, for weights of other names, for a name that is taken (`"loss"`), or if `reduction` or
            `pool` differ.
    """

    def __init__(self, losses: Mapping[str, Loss], weights: Mapping[str, float] | None = None) -> None:
        weights = dict.fromkeys(losses, 1.0) if weights is None else dict(weights)
        if not losses or set(weights) != set(losses):
            raise ValueError(f"WeightedSum: losses {list(losses)} and weights {list(weights)} must name the same.")
        for name in losses:
            # The total is reported as "loss"; torch refuses the others as names of modules.
            if name in ("", "loss") or "." in name or hasattr(torch.nn.ModuleDict, name):
                raise ValueError(f"WeightedSum: a loss cannot have the name {name!r}, choose another.")
        kinds = {(loss.reduction, loss.pool) for loss in losses.values()}
        if len(kinds) > 1:
            raise ValueError(f"WeightedSum: the losses must share one (reduction, pool), got {sorted(kinds)}.")
        super().__init__(*kinds.pop())
        self.losses = torch.nn.ModuleDict(dict(losses))
        self.weights = weights
        self.size = sum(loss.size for loss in losses.values())

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return tuple(chain.from_iterable(loss._statistics(input, target) for loss in self._losses()))

    def _prepared(self, target: Tensor) -> Any:
        return [loss._prepared(target) for loss in self._losses()]

    def _against(self, input: Tensor, prepared: Any) -> tuple[Tensor, ...]:
        pairs = zip(self._losses(), prepared, strict=True)
        return tuple(chain.from_iterable(loss._against(input, of_target) for loss, of_target in pairs))

    def _of_parts(self, replaced: Callable[[Loss], Loss]) -> Loss:
        losses = {name: replaced(loss) if isinstance(loss, Loss) else loss for name, loss in self.losses.items()}
        if all(losses[name] is loss for name, loss in self.losses.items()):
            return self
        return self._with({"losses": torch.nn.ModuleDict(losses)})

    def _value(self, *statistics: Tensor) -> Tensor:
        values = [loss._value(*part) for loss, part in self._parts(statistics)]
        if len({value.shape for value in values}) > 1:  # of channels and of items
            values = [self._of_item(value) for value in values]
        return torch.stack([weight * value for weight, value in zip(self.weights.values(), values, strict=True)]).sum(0)

    def _terms(self, *statistics: Tensor) -> dict[str, Tensor]:
        """Each loss under its name, its own terms as `name/term`."""
        found = {}
        for name, (loss, part) in zip(self.weights, self._parts(statistics), strict=True):
            found[name] = loss._value(*part)
            found |= {f"{name}/{term}": value for term, value in loss._terms(*part).items()}
        return found

    def _of_item(self, values: Tensor) -> Tensor:
        """One value for the channels of an item, `[*, channels]` → `[*, 1]`, so that a reduction stays what it is."""
        values = torch.atleast_1d(values)
        return values.sum(-1, keepdim=True) if self.reduction == "sum" else values.mean(-1, keepdim=True)

    def _losses(self) -> list[Any]:
        return [self.losses[name] for name in self.weights]

    def _parts(self, statistics: tuple[Tensor, ...]) -> Iterator[tuple[Any, tuple[Tensor, ...]]]:
        """Each loss with its part of the statistics."""
        start = 0
        for loss in self._losses():
            yield loss, statistics[start : start + loss.size]
            start += loss.size

    def __repr__(self) -> str:
        return f"WeightedSum({dict(self.losses.items())}, {self.weights})"
