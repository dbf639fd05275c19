"""Executes notebooks as nbconvert does (nbclient); writes their claims, and how far their runs said they were, as JSON: collection.py OUTPUT NOTEBOOK..."""
import concurrent.futures
import json
import os
import sys

import nbclient
import nbformat

CLAIMS = "application/vnd.notebook.claims+json"
PROGRESS = "application/vnd.notebook.progress+json"


def execute(path):
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name=".net-csharp", resources={"metadata": {"path": os.path.dirname(path)}}).execute()
    claims, progress = {}, []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if PROGRESS in output.get("data", {}):
                progress.append(output["data"]["text/plain"])
            if CLAIMS in output.get("data", {}):
                data = output["data"][CLAIMS]
                for claim in json.loads(data) if isinstance(data, str) else data:
                    claims[claim["name"]] = claim
    return path, list(claims.values()), progress


with concurrent.futures.ProcessPoolExecutor(2) as pool:
    results = list(pool.map(execute, sys.argv[2:]))
with open(sys.argv[1], "w") as file:
    json.dump({"claims": {path: claims for path, claims, _ in results}, "progress": [bar for _, _, bars in results for bar in bars]}, file)
