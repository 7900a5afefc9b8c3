"""The page for PyPI and the notebook say what is so: their code runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat

PYTHON = Path(__file__).parent.parent


def test_the_examples_of_the_page_run(tmp_path):
    examples = re.findall(r"```python\n(.*?)```", (PYTHON / "README.md").read_text(), re.DOTALL)
    assert len(examples) == 3
    done = subprocess.run([sys.executable, "-c", "\n".join(examples)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "city=Köln" in done.stdout and (tmp_path / "late.html").exists() and (tmp_path / "late.json").exists()


def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(PYTHON.parent / "docs" / "python.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = [output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {})]
    assert any("<iframe srcdoc=" in page for page in pages) and any("<table>" in page for page in pages)
