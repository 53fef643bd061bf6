"""Write the generated pages and pictures: `python -m docs_build`.

Run from the top of the repository, in the environment of `make dev`.
"""

from __future__ import annotations

from pathlib import Path

from docs_build import demo_picture, fields

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write each of them."""
    (ROOT / fields.PAGE).write_text(fields.page(), encoding="utf-8")
    output = (ROOT / demo_picture.OUTPUT).read_text(encoding="utf-8")
    (ROOT / demo_picture.PICTURE).write_text(demo_picture.picture(output), encoding="utf-8")


if __name__ == "__main__":
    main()
