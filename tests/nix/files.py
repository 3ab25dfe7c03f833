"""Writes files from JSON of {name: text or the like}: files.py JSON FOLDER."""

import json
import pathlib
import sys


def write(folder: pathlib.Path, files: dict) -> None:
    for name, content in files.items():
        path = folder / name
        if isinstance(content, dict):
            write(path, content)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


write(pathlib.Path(sys.argv[2]), json.loads(pathlib.Path(sys.argv[1]).read_text()))
