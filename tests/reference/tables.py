"""Writes a table with missing values, tables.parquet, another one to predict, tables_new.parquet, and what statsmodels
makes of them, tables.json, beside itself.

    python tests/reference/tables.py

The design matrices are built by hand, one for each way to treat missing values. Needs numpy, pandas, pyarrow and
statsmodels.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import statsmodels.api as sm

rng = np.random.default_rng(20240611)
FOLDER = Path(__file__).parent
FEATURES = ["day", "age", "income", "visits", "member"]


def table(rows, first_day):
    """Customers: a date, integers, a float with nulls and NaN, a boolean with nulls, and a text that is no feature."""
    day = first_day + rng.integers(0, 700, rows)
    age = rng.integers(18, 90, rows)
    income = np.round(np.exp(rng.normal(7.5, 0.5, rows)), 2)
    visits = rng.poisson(3, rows)
    member = rng.random(rows) < 0.4
    z = 0.002 * (day - 18000) + 0.03 * (age - 50) - 0.0006 * (income - 2000) + 0.2 * (visits - 3) + 0.8 * member - 0.5
    bought = rng.random(rows) < 1 / (1 + np.exp(-z))
    holes = rng.random((4, rows))

    def array(values, kind, missing):
        return pa.array([None if hole else value for value, hole in zip(values.tolist(), missing)], kind)

    # A missing age says something.
    return pa.table(
        {
            "customer": pa.array([f"c{row:04}" for row in range(rows)]),
            "day": pa.array(day.astype("int32"), pa.int32()).cast(pa.date32()),
            "age": array(age, pa.int16(), holes[0] < np.where(bought, 0.04, 0.12)),
            "income": array(np.where(holes[3] < 0.03, np.nan, income), pa.float64(), holes[1] < 0.07),
            "visits": pa.array(visits.astype("int64")),
            "member": array(member, pa.bool_(), holes[2] < 0.05),
            "bought": pa.array(bought),
        }
    )


def numbers(path):
    """The features of a file as floats, NaN where one is missing, and the label."""
    frame = pd.read_parquet(path)
    day = (pd.to_datetime(frame["day"]) - pd.Timestamp("1970-01-01")).dt.days
    columns = {"day": day} | {name: pd.to_numeric(frame[name].astype("object")) for name in FEATURES[1:]}
    return pd.DataFrame(columns).astype("float64"), frame["bought"].astype(float)


def design(frame, policy, means, indicators):
    """The design matrix of a policy; NaN is left where it says nothing."""
    columns = {}
    for name in FEATURES:
        missing = frame[name].isna()
        columns[name] = frame[name] if policy == "drop-row" else frame[name].fillna(means[name])
        if policy == "indicator" and name in indicators:
            columns[f"{name} is missing"] = missing.astype(float)
    return sm.add_constant(pd.DataFrame(columns), has_constant="add")


for name, rows, first_day in [("tables", 1500, 17900), ("tables_new", 200, 18500)]:
    pq.write_table(table(rows, first_day), FOLDER / f"{name}.parquet", row_group_size=rows // 3)
known, label = numbers(FOLDER / "tables.parquet")
new, _ = numbers(FOLDER / "tables_new.parquet")
means, indicators = known.mean(), [name for name in FEATURES if known[name].isna().any()]
result = {"features": FEATURES}
for policy in ["drop-row", "mean", "indicator"]:
    x = design(known, policy, means, indicators)
    keep = x.notna().all(axis=1)
    fit = sm.Logit(label[keep], x[keep]).fit(method="newton", tol=1e-13, maxiter=100, disp=False)
    assert fit.mle_retvals["converged"]
    predictions = fit.predict(design(new, policy, means, indicators))
    result[policy] = {
        "rows": int(keep.sum()),
        "names": list(x.columns),
        "coefficients": fit.params.tolist(),
        "standard_errors": fit.bse.tolist(),
        "log_likelihood": fit.llf,
        "predictions": [None if np.isnan(p) else float(f"{p:.12g}") for p in predictions],
    }
(FOLDER / "tables.json").write_text(json.dumps(result, indent=1) + "\n")
