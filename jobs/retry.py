"""``flexivideo retry``: do again what did not end well."""

from rich.console import Console

from jobs.option_groups import Flag, Several, StoreOptions
from pipeline.store_settings import StoreSettings

__all__ = ["retry"]


def retry(
    root: str,
    *,
    status: Several = (),
    kind: Several = (),
    json: Flag = False,
    store: StoreOptions = StoreSettings(),
) -> int:
    """Do videos of a dataset again that did not end well, with the settings of its newest run.

    What a later run tries again anyway (the store or the model was at fault) needs no retry.

        flexivideo retry ~/index

        flexivideo retry s3://index --status quarantined --kind timed_out --kind crashed

    Parameters
    ----------
    root: str
        Root of the dataset.
    status: tuple[str, ...]
        Only videos that ended so; may be given several times. Default: all but success.
    kind: tuple[str, ...]
        Only videos with this error_kind; may be given several times. Default: any.
    json: bool
        Print one JSON object for the plan and one for the summary.
    """
    from jobs.second_try import run_retry  # the import takes seconds: only if needed
    from jobs.standard_output import own_stdout

    with own_stdout() as stdout:
        return run_retry(
            root,
            statuses=status,
            kinds=kind,
            store=store,
            as_json=json,
            console=Console(file=stdout),
        )
