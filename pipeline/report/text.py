r"""Text from strangers, made fit for a table.

A name or title may hold anything. Three rules, each for the formats that need it:

- `shown`, every format: a byte that is not UTF-8 reads `\xff`, any other lone surrogate `\ud800`.
- `for_spreadsheet`, CSV and XLSX: characters that XML cannot hold are left out, and a cell ends at Excel's
  32,767 UTF-16 units with a mark that says so.
- `harmless`, CSV: an apostrophe goes before whatever a spreadsheet would run as a formula (CWE-1236).
"""

from __future__ import annotations

import re
import unicodedata

EXCEL_UNITS = 32_767
CUT_MARK = " … [cut]"

_SURROGATE = re.compile("[\ud800-\udfff]")
_ILLEGAL_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def shown(text: str) -> str:
    """The text with lone surrogates spelt out, so that it can be encoded."""
    if text.isascii():
        return text
    return _SURROGATE.sub(_spelt, text)


def for_spreadsheet(text: str) -> str:
    """The text without what XML cannot hold, and not longer than an Excel cell. Expects `shown` text."""
    return _fitting(_ILLEGAL_IN_XML.sub("", text))


def harmless(text: str) -> str:
    """The text as a CSV cell no spreadsheet runs; one apostrophe less undoes it. Expects `shown` text."""
    legal = _ILLEGAL_IN_XML.sub("", text)
    return _fitting(f"'{legal}" if _could_run(legal) else legal)


def _spelt(match: re.Match[str]) -> str:
    code = ord(match[0])
    # Python reads the byte 0xNN of a name that is not UTF-8 as U+DCNN (PEP 383).
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _could_run(text: str) -> bool:
    if text[:1] in ("\t", "\r", "\n"):
        return True
    for character in text:
        # Apostrophes are passed over: a text that begins "'=" gets another one, so the escape can be undone.
        if character == "'" or character.isspace() or unicodedata.category(character) == "Cf":
            continue
        # NFKC makes the plain signs of their full-width and small forms, but not of the minus sign.
        return unicodedata.normalize("NFKC", character)[:1] in ("=", "+", "-", "@") or character == "−"
    return False


def _fitting(text: str) -> str:
    if len(text) * 2 <= EXCEL_UNITS or _units(text) <= EXCEL_UNITS:
        return text
    units = text.encode("utf-16-le")[: 2 * (EXCEL_UNITS - len(CUT_MARK))]
    # "ignore" drops the first half of a pair that the cut went through.
    return units.decode("utf-16-le", errors="ignore") + CUT_MARK


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
