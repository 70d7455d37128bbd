"""Entry points: Ray jobs (``python -m jobs.index``) and the ``flexivideo`` command line."""
