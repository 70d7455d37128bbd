"""How object stores are reached: names and addresses, never a secret."""

import os
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from flexivideo.errors import SettingsError

__all__ = ["OutStoreSettings", "StoreSettings"]

# Where the tools of that store look for an address, in this order.
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

# For what that store's own tools know no variable: those of fsspec.
ANONYMOUS_VARIABLE, PAYS_VARIABLE = "FSSPEC_S3_ANON", "FSSPEC_S3_REQUESTER_PAYS"
YES = ("1", "true", "yes")


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """How object stores are reached; secrets come from the environment, a profile or the role.

    Attributes:
        endpoint_url: Address of an S3 store. Default: AWS_ENDPOINT_URL, else Amazon's.
        profile: Name in the credentials file. Default: AWS_PROFILE, else the environment's keys.
        anonymous: Ask without credentials, as public buckets allow. Default: FSSPEC_S3_ANON.
        requester_pays: Take on the costs of reading, as some buckets want. Default:
            FSSPEC_S3_REQUESTER_PAYS.
        plain_http: Take http:// addresses too, which anybody on the way can read and change.
    """

    endpoint_url: str | None = None
    profile: str | None = None
    anonymous: bool = False
    requester_pays: bool = False
    plain_http: bool = False

    def __post_init__(self) -> None:
        _check_address("endpoint_url", self.endpoint_url)

    def settled(self) -> "StoreSettings":
        """With what this process's environment says, for workers that have another."""
        names = (os.environ.get(name) for name in ENDPOINT_VARIABLES)
        return replace(
            self,
            endpoint_url=self.endpoint_url or next(filter(None, names), None),
            anonymous=self.anonymous or _is_set(ANONYMOUS_VARIABLE),
            requester_pays=self.requester_pays or _is_set(PAYS_VARIABLE),
        )


@dataclass(frozen=True, kw_only=True)
class OutStoreSettings:
    """How the dataset's store is reached, where that differs from the videos'.

    Attributes:
        out_endpoint_url: Address of the S3 store of the dataset. Default: endpoint_url.
        out_profile: Name in the credentials file for the dataset. Default: profile.
    """

    out_endpoint_url: str | None = None
    out_profile: str | None = None

    def __post_init__(self) -> None:
        _check_address("out_endpoint_url", self.out_endpoint_url)


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in YES


def _check_address(name: str, address: str | None) -> None:
    try:
        parts = urlsplit(address or "https://amazon")
        is_plain = parts.scheme in ("http", "https") and parts.hostname
    except ValueError:  # brackets that hold no address
        is_plain = None
    if not is_plain or parts.username or parts.password:
        # Not the address itself: it may hold a secret, and settings are stored.
        raise SettingsError(
            f"{name} is no plain http:// or https:// address; expected one without a name or "
            f"password in it: those belong in the environment or a profile"
        )
