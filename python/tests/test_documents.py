"""The page for PyPI and the notebook say what is so: their code runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PYTHON = Path(__file__).parent.parent


def examples_of(page: Path) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_example_of_the_project_runs(tmp_path, monkeypatch, capsys):
    rows = np.random.default_rng(1).normal(size=(200, 2))
    labels = rows[:, 0] > rows[:, 1] / 3
    labels[::7] ^= True
    pq.write_table(pa.table({"a": rows[:, 0], "b": rows[:, 1], "y": labels}), tmp_path / "big.parquet")
    monkeypatch.chdir(tmp_path)
    (example,) = examples_of(PYTHON.parent / "README.md")
    exec(example, {"X": rows, "y": labels})
    assert re.search(r"^b +-\d", capsys.readouterr().out, re.MULTILINE)


def test_the_examples_of_the_page_run(tmp_path):
    examples = examples_of(PYTHON / "README.md")
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
