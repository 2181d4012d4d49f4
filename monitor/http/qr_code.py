"""QR codes of links, for screens, paper and terminals."""

import io

import segno

_BORDER = 4  # modules: the least that readers need


def qr_image(text: str) -> str:
    """A QR code as an SVG image in a `data:` URI, black on white."""
    return _code(text).svg_data_uri(scale=8, border=_BORDER, light="white")


def qr_text(text: str) -> str:
    """A QR code in characters, for a terminal; it needs about 45 columns and half as many lines."""
    output = io.StringIO()
    _code(text).terminal(output, border=_BORDER, compact=True)
    return output.getvalue()


def _code(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="m")
