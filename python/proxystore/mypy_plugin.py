"""Plugin for mypy: attributes of a `Proxy[T]` have the types that `T` gives them.

Without it mypy takes the attributes of a proxy for `Any`. Iteration, calls,
subscription and the like are typed without a plugin.

Enable it in mypy's configuration:

    [tool.mypy]
    plugins = ["proxystore.mypy_plugin"]

Example:
    >>> plugin('1.15') is ProxyStoreMypyPlugin
    True
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from mypy.checker import TypeChecker
from mypy.maptype import map_instance_to_supertype
from mypy.options import Options
from mypy.plugin import AttributeContext
from mypy.plugin import Plugin
from mypy.types import AnyType
from mypy.types import Instance
from mypy.types import Type
from mypy.types import UnionType
from mypy.types import get_proper_type
from typing_extensions import ParamSpec

__all__ = [
    'PROXY_TYPES',
    'P',
    'ProxyStoreMypyPlugin',
    'T',
    'plugin',
    'proxy_attribute_access',
]

P = ParamSpec('P')
T = TypeVar('T')

_PROXY = 'proxystore._core.Proxy'
PROXY_TYPES = (
    'proxystore.proxy.Proxy',
    _PROXY,
    'proxystore.store.ref.BaseRefProxy',
    'proxystore.store.ref.OwnedProxy',
    'proxystore.store.ref.RefProxy',
    'proxystore.store.ref.RefMutProxy',
)
"""Types whose attributes are those of their target."""


class ProxyStoreMypyPlugin(Plugin):
    """Types the attributes of proxies.

    Args:
        options: mypy's options.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)

    def get_attribute_hook(
        self, fullname: str
    ) -> Callable[[AttributeContext], Type] | None:
        """Return what types an attribute, if it is one of a proxy.

        Args:
            fullname: Full name of the attribute.
        """
        owner, _, attribute = fullname.rpartition('.')
        if owner in PROXY_TYPES:
            return partial(proxy_attribute_access, attr=attribute)
        return None


def proxy_attribute_access(ctx: AttributeContext, *, attr: str) -> Type:
    """Return the type of an attribute of a proxy: that of its target's.

    Args:
        ctx: The access.
        attr: Name of the attribute.
    """
    owner = get_proper_type(ctx.type)
    if isinstance(owner, UnionType):
        owners = [get_proper_type(item) for item in owner.items]
        owner = next((o for o in owners if _is_proxy(o)), owner)
    if not isinstance(owner, Instance) or not isinstance(ctx.api, TypeChecker):
        return ctx.default_attr_type
    proxy = next((base for base in owner.type.mro if base.fullname == _PROXY), None)
    # What a proxy or a subclass of it declares is its own.
    declaring = owner.type.get_containing_type_info(attr)
    if proxy is None or (
        declaring is not None and declaring.fullname != 'builtins.object'
    ):
        return ctx.default_attr_type
    arguments = map_instance_to_supertype(owner, proxy).args
    target = get_proper_type(arguments[0]) if arguments else None
    if target is None or isinstance(target, AnyType):
        return ctx.default_attr_type
    return ctx.api.expr_checker.analyze_external_member_access(
        attr, target, ctx.context
    )


def _is_proxy(item: Type) -> bool:
    return isinstance(item, Instance) and item.type.has_base(_PROXY)


def plugin(version: str) -> type[ProxyStoreMypyPlugin]:
    """Return the plugin: what mypy calls.

    Args:
        version: mypy's version.
    """
    return ProxyStoreMypyPlugin
