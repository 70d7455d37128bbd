"""On which nodes of a cluster a pool's workers may be: by a label, or by a custom resource."""

import re
from dataclasses import dataclass
from typing import Any

from flexivideo.errors import SettingsError

__all__ = ["NodeChoice"]

# A node that offers a resource once has room for a thousand workers: it marks, it does not count.
RESOURCE_SHARE = 0.001

NAME = r"[A-Za-z0-9_./-]+"
CHOICE = re.compile(rf"(?P<name>{NAME})(=(?P<value>[A-Za-z0-9_.-]+))?")


@dataclass(frozen=True, kw_only=True)
class NodeChoice:
    """A choice of nodes; without a name, all of them.

    Attributes:
        name: of the label or the resource.
        value: the label's; None where a resource is meant.
    """

    name: str | None = None
    value: str | None = None

    @classmethod
    def parse(cls, setting: str, text: str | None) -> "NodeChoice":
        """The choice that a person wrote: ``NAME=VALUE`` is a label, ``NAME`` a resource.

        Args:
            setting: its name, for the message.
            text: what was written; None is no choice.

        Raises:
            SettingsError: if it is neither.
        """
        if text is None:
            return cls()
        match = CHOICE.fullmatch(text)
        if match is None:
            raise SettingsError(
                f"{setting} is {text!r}; expected a label of nodes as NAME=VALUE (ray start "
                f"--labels), or the name of a resource that nodes offer (ray start --resources)"
            )
        return cls(name=match["name"], value=match["value"])

    @property
    def label_selector(self) -> dict[str, str]:
        """As Ray takes it."""
        return {} if self.name is None or self.value is None else {self.name: self.value}

    @property
    def resources(self) -> dict[str, float]:
        """Of one worker, as Ray takes it."""
        return {} if self.name is None or self.value is not None else {self.name: RESOURCE_SHARE}

    def allows(self, node: dict[str, Any]) -> bool:
        """Whether a node, as ``ray.nodes()`` tells it, is one of them."""
        if self.name is None:
            return True
        if self.value is None:
            return bool(node["Resources"].get(self.name))
        return bool(node["Labels"].get(self.name) == self.value)

    def __str__(self) -> str:
        if self.name is None:
            return "any node"
        kind = "resource" if self.value is None else "label"
        return f"a node with the {kind} {self.name}{'' if self.value is None else '=' + self.value}"
