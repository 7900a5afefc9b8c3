"""The table of a model, laid out as statsmodels lays it out."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gpu_logreg._model import Model

WIDTH = 78


class Summary:
    """A model as text, and as HTML in a notebook."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def _head(self) -> list[tuple[str, str]]:
        model, training = self._model, self._model.training
        of = [
            ("Dep. Variable:", model.label),
            ("Model:", "Logit" if model._is_binary else f"MNLogit, {len(model.classes)} classes"),
            ("No. Observations:", f"{training['rows']}"),
            ("Df Model:", f"{self._df_model()}"),
            ("Status:", model.status),
            ("Device:", training["device"]),
        ]
        if "log_likelihood" in training:
            null = -0.5 * training["null_deviance"]
            of += [
                ("Pseudo R-squ.:", f"{training['mcfadden_r2']:.4g}"),
                ("Log-Likelihood:", f"{training['log_likelihood']:.5g}"),
                ("LL-Null:", f"{null:.5g}"),
                ("LLR p-value:", f"{self._llr_p():.4g}" if self._has_llr() else "-"),
                ("AIC:", "-" if training["aic"] is None else f"{training['aic']:.4f}"),
                ("Covariance Type:", training["inference"]["kind"]),
            ]
        else:
            of += [
                ("Mean loss:", f"{training['loss']:.7g}"),
                ("L1, L2:", f"{training.get('l1', 0.0):.4g}, {training['l2']:.4g}"),
            ]
        return of

    def _df_model(self) -> int:
        estimated = len(self._model.params)
        intercepts = sum(name == "(intercept)" for _, name, _, _ in self._model._estimates)
        return estimated - intercepts

    def _has_llr(self) -> bool:
        training = self._model.training
        is_penalised = training["l2"] > 0 or training.get("l1", 0.0) > 0
        return not is_penalised and "likelihood_kind" not in training and self._df_model() > 0

    def _llr_p(self) -> float:
        """The likelihood ratio test against the model without features (Wilks, 1938)."""
        from scipy.special import chdtrc

        training = self._model.training
        statistic = max(training["null_deviance"] - training["residual_deviance"], 0.0)
        return float(chdtrc(self._df_model(), statistic))

    def _rows(self) -> list[tuple[str, list[str]]]:
        model = self._model
        if "inference" not in model.training:
            return [(name, [f"{value:.4f}"]) for name, value in zip(model.param_names, model.params, strict=True)]
        limits = model.conf_int(1.0 - model.training["inference"]["confidence"])
        figures = np.column_stack([model.params, model.bse, model.zvalues, model.pvalues, limits])
        return [
            (name, [f"{row[0]:.4f}", *(f"{x:.3f}" for x in row[1:])])
            for name, row in zip(model.param_names, figures, strict=True)
        ]

    def _titles(self) -> list[str]:
        if "inference" not in self._model.training:
            return ["coef"]
        tail = 0.5 * (1.0 - self._model.training["inference"]["confidence"])
        return ["coef", "std err", "z", "P>|z|", f"[{tail:.3g}", f"{1 - tail:.3g}]"]

    def _notes(self) -> list[str]:
        return [*self._model.warnings, *self._model.notes]

    def as_text(self) -> str:
        """The table as text."""
        head = self._head()
        left, right = head[: (len(head) + 1) // 2], head[(len(head) + 1) // 2 :]
        right += [("", "")] * (len(left) - len(right))
        half = WIDTH // 2 - 1

        def pair(title: str, value: str, width: int) -> str:
            return f"{title}{value[: width - len(title)]:>{width - len(title)}}"

        lines = ["Logit Regression Results".center(WIDTH).rstrip(), "=" * WIDTH]
        for (a, b), (c, d) in zip(left, right, strict=True):
            lines.append(f"{pair(a, b, half)}  {pair(c, d, WIDTH - half - 2)}".rstrip())
        titles, rows = self._titles(), self._rows()
        name_width = max([14, *(len(name) for name, _ in rows)])
        lines += ["=" * WIDTH, " " * name_width + "".join(f"{title:>11}" for title in titles), "-" * WIDTH]
        lines += [f"{name:<{name_width}}" + "".join(f"{figure:>11}" for figure in row) for name, row in rows]
        lines.append("=" * WIDTH)
        return "\n".join([*lines, *self._notes()])

    def as_html(self) -> str:
        """The table as HTML."""

        def cells(tag: str, texts: list[str]) -> str:
            return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)

        head = "".join(f"<tr>{cells('th', [title])}{cells('td', [value])}</tr>" for title, value in self._head())
        body = "".join(f"<tr>{cells('th', [name])}{cells('td', row)}</tr>" for name, row in self._rows())
        notes = "".join(f"<p>{html.escape(text)}</p>" for text in self._notes())
        return f"<table>{head}</table><table><tr><th></th>{cells('th', self._titles())}</tr>{body}</table>{notes}"

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.as_html()
