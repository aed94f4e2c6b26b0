"""What happens in the tab "Refine" through Gradio's queue: open, show, find edges, preview."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from segdemo.assistant import AnnotationAssistant
from segdemo.datatypes import InputError
from segdemo.editing.image import EditedImage
from segdemo.editing.masks import flatten_masks
from segdemo.editing.sessions import Session, SessionStore
from segdemo.images import load_rgb
from segdemo.rip.settings import RIPSettings, with_changes
from segdemo.ui.errors import UNEXPECTED, public_words, user_errors, without_folders
from segdemo.ui.events import StopSignal, Updates
from segdemo.ui.examples import MERGED_MASKS
from segdemo.ui.refine.api import edges_by, read_classes
from segdemo.ui.refine.messages import (
    Message,
    edges_message,
    empty_message,
    note_message,
    picture_message,
    place_message,
    proposals_message,
)
from segdemo.ui.refine.opening import PHOTO, add_masks, open_files
from segdemo.ui.uploads import Upload
from segdemo.ui.waiting import Place, follow
from segdemo.uis.methods import methods

PROPOSALS = [
    ["diffdis", "DiffDIS mask, cut by the edges"],
    *([name, f"{method.title} with a DINO model"] for name, method in methods().items()),
]
EDGE_WORDS = {"diffdis": "DiffDIS", "gradient": "gradient"}

OWN_CLASSES = "own"  # the classes of class maps are those of a list

FOLDED = gr.update(open=False)  # so that the canvas comes into view


def edge_sources(assistant: AnnotationAssistant) -> list[list[str]]:
    """Return [value, label] of what finds edges; each is called what it is."""
    others = assistant.other_edge_sources.items()
    generators = [("diffegg", assistant.edge_label), *((name, one.label) for name, one in others)]
    return [
        *([name, label[0].upper() + label[1:]] for name, label in generators),
        ["diffdis", "DiffDIS: outline of the main object"],
        ["gradient", "Grey-value gradient: no model"],
    ]


class EditorEvent(gr.EventData):
    """What the editor asks for; which of these it says depends on the event."""

    token: str
    picture: int
    greeting: int
    lease: str
    revision: int
    source: str
    method: str
    preset: str
    settings: dict[str, Any]

    @property
    def said(self) -> Message:
        """Return what it says, by name."""
        return {name: getattr(self, name) for name in EDITOR_SAYS if hasattr(self, name)}


EDITOR_SAYS = tuple(EditorEvent.__annotations__)


@dataclass(frozen=True)
class RefineTab:
    """What showing an image changes: the editor, what a session remembers, the panel of files.

    token: the session's, "" for none yet. current: index of the image shown. panel: folded once
    there is something to see.
    """

    editor: gr.HTML
    token: gr.Textbox
    current: gr.Number
    panel: gr.Accordion

    @property
    def all(self) -> list[Any]:
        """Return the components."""
        return [self.editor, self.token, self.current, self.panel]

    def show(self, session: Session, index: int, note: str | None = None) -> Updates:
        """Show an image of a session."""
        return {
            self.editor: picture_message(session, index, note),
            self.token: session.token,
            self.current: index,
            self.panel: FOLDED,
        }

    def show_nothing(self, token: str, note: str | None = None) -> Updates:
        """Show that nothing is open."""
        return {self.editor: empty_message(token, note), self.token: token, self.current: 0}


class RefineHandlers:
    """The handlers of one page; each returns new values by component."""

    def __init__(
        self, assistant: AnnotationAssistant, store: SessionStore, tab: RefineTab, report: gr.HTML
    ) -> None:
        """Work with an assistant's models on a store's sessions; report: a line on what opened."""
        self._assistant, self._store = assistant, store
        self._tab, self._report = tab, report

    def open(
        self,
        token: str,
        photos: list[Upload] | None,
        masks: list[Upload] | None,
        edges: list[Upload] | None,
        classes: str | None = None,
        own_classes: str | None = None,
        stuff: str | None = None,
    ) -> Updates:
        """Open files in the session, or in a new one; for `classes` see `read_classes`."""
        with user_errors():
            # what was written for class maps says nothing of instances
            text = (own_classes or " ") if classes == OWN_CLASSES else (classes or "")
            listed = read_classes(text, (stuff or "") if classes else "")
            if not (photos or masks):
                raise InputError("There is no photo yet: add photos first, then press Open.")
            session = self._store.open_or_create(token)
            if not photos:
                index, lines = add_masks(session, masks or [], listed)
                return self._tab.show(session, index) | {
                    self._report: without_folders(" ".join(lines))
                }
            before, first = len(session), len(session.names)
            lines = open_files(session, photos, masks or [], edges or [], listed)
            count = len(session) - before
            words = "1 photo opened." if count == 1 else f"{count} photos opened."
            return self._tab.show(session, first) | {
                self._report: without_folders(" ".join([words, *lines]))
            }

    def open_example(self, token: str) -> Updates:
        """Open the example; opened before, it is shown again."""
        photo, masks, edge = (Upload(path=str(file), orig_name=file.name) for file in MERGED_MASKS)
        with user_errors():
            session = self._store.open_or_create(token)
            if MERGED_MASKS[0].name in session.names:
                index = session.names.index(MERGED_MASKS[0].name)
                return self._tab.show(session, index) | {self._report: ""}
        return self.open(session.token, [photo], [masks], [edge])

    def hello(self, event: EditorEvent) -> Updates:
        """Resume a session where a reload left it; the answer has the greeting's number."""
        said = event.said
        answer = self._greeted(said)
        answer[self._tab.editor]["greeting"] = said.get("greeting")
        return answer

    def opened(self, event: EditorEvent) -> Updates:
        """Keep the session and the image that the page shows, after a stale answer to `hello`."""
        said = event.said
        return {self._tab.token: str(said["token"]), self._tab.current: int(said["picture"])}

    def _greeted(self, said: Message) -> Updates:
        if not said.get("token"):
            return self._tab.show_nothing("")
        try:
            session = self._store.open(said["token"])
        except InputError as error:
            return self._tab.show_nothing("", public_words(error))
        return self._resumed(session, said.get("picture"))

    def _resumed(self, session: Session, wanted: object) -> Updates:
        """Show the image that was shown last, or the first that can be: one may be damaged."""
        first = int(wanted) if isinstance(wanted, int | float) else 0
        indices = sorted(session.indices, key=lambda index: index != first)
        problems: list[str] = []
        for index in indices:
            try:
                with user_errors():
                    note = "Your work is as you left it." if not problems else " ".join(problems)
                    return self._tab.show(session, index, note)
            except gr.Error as error:
                cause = error.__cause__
                why = public_words(cause) if isinstance(cause, InputError) else UNEXPECTED
                problems.append(f"{session.names[index]} cannot be shown: {why}")
        return self._tab.show_nothing(session.token, " ".join(problems) or None)

    def show(self, event: EditorEvent) -> Updates:
        """Show another image of the session."""
        message = _reported(lambda: self._show(event.said))
        shown = {self._tab.editor: message}
        if "picture" in message:
            shown[self._tab.current] = message["picture"]["index"]
        return shown

    def find_edges(self, event: EditorEvent) -> Iterator[Updates]:
        """Find an image's edges by a model, or by gradients."""
        yield from self._followed(lambda: self._find_edges(event.said))

    def preview(self, event: EditorEvent) -> Updates:
        """Ask RIP for proposals."""
        return {self._tab.editor: _reported(lambda: self._preview(event.said))}

    def propose(self, event: EditorEvent) -> Iterator[Updates]:
        """Put first masks onto an image that has none."""
        yield from self._followed(lambda: self._propose(event.said))

    def _followed(self, work: Callable[[], Message]) -> Iterator[Updates]:
        """Run work that calls models, and tell the editor of its place in the line."""

        def once(_: StopSignal) -> Generator[Message, None, None]:
            yield _reported(work)

        for news in follow(once):
            message = place_message(news) if isinstance(news, Place) else news
            yield gr.skip() if message is None else {self._tab.editor: message}

    def _picture(self, data: Message) -> tuple[Session, int, EditedImage]:
        session, index = self._store.open(data["token"]), int(data["picture"])
        picture = session.image(index)
        if "lease" in data:
            picture.check_lease(data["lease"])
        return session, index, picture

    def _show(self, data: Message) -> Message:
        session, index, _ = self._picture(data)
        return picture_message(session, index)

    def _find_edges(self, data: Message) -> Message:
        session, index, picture = self._picture(data)
        source = str(data["source"])
        image = load_rgb(session.file(index, PHOTO), picture.name)
        edge = edges_by(self._assistant, image, source)
        other = self._assistant.other_edge_sources.get(source)
        words = EDGE_WORDS.get(source) or (other or self._assistant.edge_source).label
        picture.set_edges(edge.probability, source, words)
        return edges_message(picture, index, f"Edges found by {words}.")

    def _preview(self, data: Message) -> Message:
        session, index, picture = self._picture(data)
        if picture.revision != int(data["revision"]):
            raise InputError("The last edits have not arrived yet: press Preview again.")
        proposals = picture.preview(read_rip_settings(data), session.stuff)
        return proposals_message(picture, index, proposals)

    def _propose(self, data: Message) -> Message:
        session, index, picture = self._picture(data)
        image = load_rgb(session.file(index, PHOTO), picture.name)
        masks = self._assistant.propose(image, data["method"])
        if not len(masks):
            raise InputError("No object was found: draw one with the brush (N, then B).")
        labels, known, _ = flatten_masks(masks)
        revision = int(data["revision"])
        picture.replace_all(labels, revision + 1, known, follows=revision)
        count = "1 instance" if picture.count == 1 else f"{picture.count} instances"
        return picture_message(session, index, f"{count} proposed. Nothing here is certain.")


def read_rip_settings(data: Message) -> RIPSettings:
    """Read the preset and the parameters that the page sends; raises InputError."""
    given = data.get("settings") or {}
    if not isinstance(given, dict):
        raise InputError("settings must be numbers by the parameters' names.")
    return with_changes(str(data.get("preset") or "robust"), given)


def _reported(work: Callable[[], Message]) -> Message:
    """Run work; what goes wrong is a note in the editor's own status line."""
    try:
        with user_errors():
            return work()
    except gr.Error as error:
        cause = error.__cause__
        return note_message(public_words(cause) if isinstance(cause, InputError) else UNEXPECTED)
