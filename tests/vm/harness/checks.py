"""What a run prints: one line a check, the figures, and a count that fails the run."""

import time


class Checks:
    """Counts and prints."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.figures = []
        self.scenario = ""
        self.begun = time.monotonic()

    def ok(self, condition, what, detail=""):
        """A check: prints whether it holds, and says whether it does."""
        if condition:
            self.passed += 1
            self._print(f"ok      {self.scenario}: {what}")
        else:
            self.failed += 1
            self._print(f"FAILED  {self.scenario}: {what}" + (f"\n        {detail}" if detail else ""))
        return bool(condition)

    def equal(self, found, wanted, what):
        """A check of two values."""
        return self.ok(found == wanted, what, f"found {found!r}, wanted {wanted!r}")

    def broken(self, error):
        """The scenario could not go on."""
        self.failed += 1
        self._print(f"FAILED  {self.scenario}: {error}")

    def skip(self, what, why):
        """Something that cannot be tried here."""
        self.skipped += 1
        # The gate collects lines of this form.
        self._print(f"skipped {what}: {why}")

    def figure(self, what, value):
        """A figure for the closing note; nothing is asserted of it."""
        self.figures.append((what, value))

    def summary(self):
        """Prints the figures and the count; returns the exit status."""
        if self.figures:
            print("\nfigures (in emulation, where nothing else is said)")
            width = max(len(what) for what, _ in self.figures)
            for what, value in self.figures:
                print(f"  {what:<{width}}  {value}")
        print(f"\n{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0

    def _print(self, line):
        print(f"[{time.monotonic() - self.begun:4.0f} s] {line}" if not line.startswith("skipped") else line,
              flush=True)
