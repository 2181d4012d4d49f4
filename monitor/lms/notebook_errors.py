"""Why a notebook is refused."""

from monitor.errors import Detail, InvalidBody


class InvalidNotebook(InvalidBody):
    """The notebook of a submission can't be taken; the reason says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(Detail(("body", "notebook_content"), reason, "value_error"))
        self.reason = reason
