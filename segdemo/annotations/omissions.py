"""What a format cannot hold: counted while files are written, reported in sentences."""

from __future__ import annotations

from collections import Counter

from segdemo.annotations.instance_runs import InstanceRuns
from segdemo.datatypes import LabelMap


class Omissions:
    """Counts of instances or pixels by the sentence that reports them."""

    def __init__(self) -> None:
        """Start with nothing left out."""
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, sentence: str, count: int, noun: str = "instance") -> None:
        """Count what a sentence reports; `{}` in it stands for the number and the noun."""
        if count:
            self._counts[sentence, noun] += count

    def sentences(self) -> list[str]:
        """Return what was left out, in the order it came up."""
        return [
            sentence.format(f"{count} {noun}{'s' * (count > 1)}")
            for (sentence, noun), count in self._counts.items()
        ]

    def add_scores(self, found: InstanceRuns) -> None:
        """Count scores that say something."""
        self.add(
            "Scores were not written: the format has none ({}).", int((found.scores != 1).sum())
        )

    def add_categories(self, found: InstanceRuns) -> None:
        """Count instances with a class."""
        classes = 0 if found.category_ids is None else len(found)
        self.add("Classes were not written: the format has none ({}).", classes)

    def add_crowds(self, found: InstanceRuns) -> None:
        """Count crowds that become ordinary instances."""
        self.add(
            "Crowds were written as ordinary instances ({}).",
            0 if found.crowd is None else int(found.crowd.sum()),
        )

    def add_flattening(self, flat: LabelMap) -> None:
        """Count what is lost where instances overlap."""
        self.add(
            "Where instances overlap, only the front one was written ({}).",
            flat.overlapped,
            "pixel",
        )
        self.add("{} had no pixel left and could not be written.", len(flat.hidden))
