"""Saved notebooks as the HTML pages that nbconvert makes of them, without running anything: saved.py FOLDER NOTEBOOK..."""
import os
import sys

import nbconvert
import nbformat

exporter = nbconvert.HTMLExporter()
for number, path in enumerate(sys.argv[2:]):
    notebook = nbformat.read(path, as_version=4)
    figures = sum(any(kind.startswith("image/") for kind in output.get("data", {})) for cell in notebook.cells for output in cell.get("outputs", []))
    page, _ = exporter.from_notebook_node(notebook)
    with open(os.path.join(sys.argv[1], f"{number:02}-{figures}.html"), "w") as file:
        file.write(page)
