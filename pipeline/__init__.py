"""The indexing pipeline: one concept or stage a file, put together in :mod:`pipeline.compose`."""
