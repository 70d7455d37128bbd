"""A store under which a machine stops at a counted change."""


class Crash(BaseException):
    """The machine stops."""


class CrashingStore:
    """A store whose user's machine stops just before, or just after, its n-th change."""

    def __init__(self, store, crash_at, *, after):
        self._store = store
        self.n_changes, self._crash_at, self._after = 0, crash_at, after

    def __getattr__(self, name):
        return getattr(self._store, name)

    def create_if_absent(self, path, finished):
        return self._change(self._store.create_if_absent, path, finished)

    def compare_and_swap(self, path, expected, new):
        return self._change(self._store.compare_and_swap, path, expected, new)

    def delete(self, path):
        if self._crash_at is not None and self.n_changes >= self._crash_at:
            return None  # a machine that stopped cleans nothing up
        return self._store.delete(path)

    def _change(self, change, *arguments):
        if self._crash_at is not None and self.n_changes >= self._crash_at:
            raise Crash
        self.n_changes += 1
        done = change(*arguments)
        if self._after and self.n_changes == self._crash_at:
            raise Crash
        return done
