"""``flexivideo delete``: erase a video from a dataset."""

from functools import partial

from rich.console import Console

from jobs.option_groups import StoreOptions
from pipeline.store_settings import StoreSettings

__all__ = ["delete"]


def delete(root: str, uri: str, *, store: StoreOptions = StoreSettings()) -> int:
    """Erase a video, in all its versions, from every table of a dataset.

    The video itself is not touched: delete it at its source too, or the next run over that source
    indexes it again. Copies that a store keeps of what is overwritten are the store's to remove.

        flexivideo delete s3://index s3://uploads/private.mp4

        flexivideo delete ~/index ~/videos/private.mp4

    Parameters
    ----------
    root: str
        Root of the dataset.
    uri: str
        The video, as the videos table names it; a path may be relative, and an address signed.
    """
    from jobs.index_run import new_run_id  # the import takes seconds: only if needed
    from jobs.run_preview import counted, printable
    from pipeline.erasure import commits_of, erase, names_of_the_same_bytes
    from pipeline.index_session import open_for_index
    from pipeline.local_uri import FILE_SCHEME, to_uri
    from pipeline.remote_names import is_on_web, is_remote
    from pipeline.settings import CommitSettings
    from pipeline.signed_urls import web_address
    from pipeline.store import open_store

    if is_on_web(uri):
        name = web_address(uri).uri
    else:
        name = uri if is_remote(uri) or uri.startswith(FILE_SCHEME) else to_uri(uri)
    opened = open_store(root, store)
    commits_of(opened, name)  # before anything is written: a mistyped root must not become one
    copies = names_of_the_same_bytes(opened, name)
    lease_s = CommitSettings().lease_s
    with open_for_index(opened, run_id=new_run_id(), lease_s=lease_s) as session:
        n_versions = erase(opened, name, check=session.check)
    say = partial(Console(soft_wrap=True).print, highlight=False, markup=False)
    say(
        f"{printable(name)}: erased in {counted(n_versions, 'version')}; the video itself is where "
        f"it was"
    )
    if copies:
        say(
            f"the same bytes stand under {counted(len(copies), 'other name')}, the first "
            f"{printable(copies[0])}: erase them too if they are meant"
        )
    return 0
