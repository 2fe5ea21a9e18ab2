"""Hydra's composition in a session of tests, which composes the same files hundreds of times: a part is made once."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, base
from omegaconf.base import Node

FAST_YAML = SimpleNamespace(**vars(yaml) | {"SafeLoader": yaml.CSafeLoader})  # libyaml's gives the same

_parsed: dict[Hashable, Any] = {}
_files: dict[Hashable, bytes] = {}
_lists: dict[Hashable, Any] = {}
_composed: dict[Hashable, bytes] = {}

_parse = OverridesParser.parse_rule
_load = ConfigRepository.load_config
_list_of = defaults_list.create_defaults_list
_choices = defaults_list._create_interpolation_map
_grammar = cache(base.parse)
_compose = ConfigLoaderImpl._compose_config_from_defaults_list


def remembered(patch: pytest.MonkeyPatch) -> None:
    """Has Hydra keep what an option or an interpolation is parsed to, what a file holds, which files belong to the
    chosen groups, and what these give together; and copies configurations without asking each value how, which took
    most of its time.

    What the other options change is made anew each time. Files must not change meanwhile.
    """
    patch.setattr("omegaconf._utils.yaml", FAST_YAML)
    patch.setattr(OverridesParser, "parse_rule", _parsed_once)
    patch.setattr(ConfigRepository, "load_config", _loaded_once)
    patch.setattr(config_loader_impl, "create_defaults_list", _listed_once)
    patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", _composed_once)
    patch.setattr(defaults_list, "_create_interpolation_map", _choices_if_asked)
    patch.setattr(base, "parse", _grammar)
    patch.setattr(ConfigRepository, "__deepcopy__", lambda self, memo: copy.copy(self), raising=False)
    for kind in (DictConfig, ListConfig):
        patch.setattr(kind, "__deepcopy__", _copied)


def _parsed_once(self: OverridesParser, text: str, rule: str) -> Any:
    if (text, rule) not in _parsed:
        _parsed[text, rule] = _parse(self, text, rule)
    return copy.copy(_parsed[text, rule])  # Hydra sets its loader


def _loaded_once(self: ConfigRepository, config_path: str) -> Any:
    key = (_sources(self), config_path)
    if key not in _files:
        _files[key] = pickle.dumps(_load(self, config_path))
    return pickle.loads(_files[key])


def _listed_once(repo: Any, config_name: str, overrides_list: list[Any], **options: bool) -> Any:
    found = defaults_list.Overrides(repo=repo, overrides_list=overrides_list)
    choices = repr((found.override_choices, found.append_group_defaults, found.deletions))
    key = (_sources(repo), config_name, choices, *options.items())
    if key not in _lists:
        _lists[key] = _list_of(repo, config_name, overrides_list, **options)
    return replace(_lists[key], config_overrides=found.config_overrides)


def _choices_if_asked(overrides: Any, files: list[Any], self_added: bool) -> Any:
    """The choices so far, which only a list of files needs that has a ``${…}``."""
    return _choices(overrides, files, self_added) if any(file.is_interpolation() for file in files) else None


def _composed_once(self: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> Any:
    key = (_sources(repo), *map(repr, defaults))
    if key not in _composed:
        _composed[key] = pickle.dumps(_compose(self, defaults, repo))
    return pickle.loads(_composed[key])


def _copied(self: Node, memo: dict[int, Any]) -> Node:
    """As OmegaConf's: the nodes are new, the values the same, the parent is retained."""
    made = object.__new__(type(self))
    old, metadata = self._metadata, object.__new__(type(self._metadata))
    cache = defaultdict(dict, {name: dict(values) for name, values in old.resolver_cache.items()})
    metadata.__dict__.update(old.__dict__, flags=dict(old.flags or {}), resolver_cache=cache)
    made.__dict__.update(self.__dict__, _metadata=metadata, _flags_cache=None)
    content = self.__dict__.get("_content")
    if isinstance(content, dict):
        made.__dict__["_content"] = {key: _below(made, node, memo) for key, node in content.items()}
    elif isinstance(content, list):
        made.__dict__["_content"] = [_below(made, node, memo) for node in content]
    elif isinstance(content, Node):
        made.__dict__["_content"] = _below(made, content, memo)
    return made


def _below(parent: Node, node: Node, memo: dict[int, Any]) -> Node:
    made = _copied(node, memo)
    made.__dict__["_parent"] = parent
    return made


def _sources(repo: Any) -> Hashable:
    return tuple((source.scheme(), source.path) for source in repo.get_sources())
