"""Writes a table with missing values, tables.parquet, another one to predict, tables_new.parquet, and what statsmodels
makes of them, tables.json, beside itself.

    python tests/reference/tables.py

The design matrices are built by hand, one for each way to treat missing values: numbers as they are, then for each
category a column of 0 and 1 for every level but the first. A text that is no level counts as the average of the known
rows. Needs numpy, pandas, pyarrow and statsmodels.
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
NUMBERS = ["day", "age", "income", "visits", "member"]
TEXTS = ["city", "plan"]
# A city is missing in some rows, which has no mean.
CATEGORIES = {"drop-row": ["city", "plan", "region"], "mean": ["plan", "region"], "indicator": ["city", "plan", "region"]}
NULL = "(null)"
CITIES = {"Bonn": 0.4, "Köln": -0.3, "Aachen": 0.0, "bad ems": 0.8, "Bad Ems": -0.6}
PLANS = {"free": 0.0, "pro": 0.9, "": 0.3}
REGIONS = {11: 0.5, 3: 0.0, 200: -0.4, -7: 0.2}


def table(rows, first_day, more_cities):
    """Customers: a date, integers, a float with nulls and NaN, a boolean with nulls; a text with nulls, one without, and
    codes of regions, which are categories; and a text that is no feature."""
    day = first_day + rng.integers(0, 700, rows)
    age = rng.integers(18, 90, rows)
    income = np.round(np.exp(rng.normal(7.5, 0.5, rows)), 2)
    visits = rng.poisson(3, rows)
    member = rng.random(rows) < 0.4
    city = rng.choice([*CITIES, *more_cities], rows)
    plan = rng.choice(list(PLANS), rows, p=[0.6, 0.3, 0.1])
    region = rng.choice(list(REGIONS), rows)
    z = 0.002 * (day - 18000) + 0.03 * (age - 50) - 0.0006 * (income - 2000) + 0.2 * (visits - 3) + 0.8 * member - 0.5
    z += np.array([CITIES.get(c, 0) + PLANS[p] + REGIONS[r] for c, p, r in zip(city, plan, region)])
    bought = rng.random(rows) < 1 / (1 + np.exp(-z))
    holes = rng.random((5, rows))

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
            "city": array(city, pa.string(), holes[4] < np.where(bought, 0.1, 0.04)),
            "plan": pa.array(plan.tolist(), pa.string()),
            "region": pa.array(region.astype("int16")),
            "bought": pa.array(bought),
        }
    )


def columns_of(path):
    """The features of a file, numbers as floats with NaN and categories with None where one is missing, and the label."""
    frame = pd.read_parquet(path)
    day = (pd.to_datetime(frame["day"]) - pd.Timestamp("1970-01-01")).dt.days
    columns = {"day": day} | {name: pd.to_numeric(frame[name].astype("object")) for name in NUMBERS[1:]}
    columns = {name: column.astype("float64") for name, column in columns.items()}
    return pd.DataFrame(columns | {name: frame[name] for name in [*TEXTS, "region"]}), frame["bought"].astype(float)


def complete(frame, policy):
    """The rows in which nothing is missing that the policy uses."""
    return frame[NUMBERS + CATEGORIES[policy]].notna().all(axis=1)


def dummies(column, known, policy):
    """0 and 1 for each level of the `known` rows but the first, NaN where one is missing and that says nothing."""
    if policy == "indicator":
        column, known = column.where(column.notna(), NULL), known.where(known.notna(), NULL)
    # The bytes of a text decide, or the number; the level of what is missing comes last.
    levels = sorted(set(known.dropna()), key=lambda level: (level == NULL, level))
    found = pd.DataFrame({level: (column == level).astype(float) for level in levels})
    found.loc[~column.isin(levels)] = [(known == level).mean() for level in levels]
    found.loc[column.isna()] = np.nan
    return {f"{column.name}={level}": found[level] for level in levels[1:]}


def design(frame, known, policy):
    """The design matrix of a policy that was fitted to the `known` rows; NaN is left where it says nothing."""
    columns = {}
    for name in NUMBERS:
        missing = frame[name].isna()
        columns[name] = frame[name] if policy == "drop-row" else frame[name].fillna(known[name].mean())
        if policy == "indicator" and known[name].isna().any():
            columns[f"{name} is missing"] = missing.astype(float)
    for name in CATEGORIES[policy]:
        columns |= dummies(frame[name], known[name], policy)
    return sm.add_constant(pd.DataFrame(columns), has_constant="add")


for name, rows, first_day, more_cities in [("tables", 1500, 17900, []), ("tables_new", 200, 18500, ["Ulm", "Ähren"])]:
    pq.write_table(table(rows, first_day, more_cities), FOLDER / f"{name}.parquet", row_group_size=rows // 3)
frame, label = columns_of(FOLDER / "tables.parquet")
new, _ = columns_of(FOLDER / "tables_new.parquet")
result = {}
for policy in CATEGORIES:
    keep = complete(frame, policy) if policy == "drop-row" else label.notna()
    known = frame[keep]
    x = design(known, known, policy)
    fit = sm.Logit(label[keep], x).fit(method="newton", tol=1e-13, maxiter=100, disp=False)
    assert fit.mle_retvals["converged"]
    predictions = fit.predict(design(new, known, policy))
    result[policy] = {
        "features": NUMBERS + CATEGORIES[policy],
        "rows": int(keep.sum()),
        "names": list(x.columns),
        "coefficients": fit.params.tolist(),
        "standard_errors": fit.bse.tolist(),
        "log_likelihood": fit.llf,
        "unseen": {"city": int((~new["city"].dropna().isin(CITIES)).sum())} if "city" in CATEGORIES[policy] else {},
        "predictions": [None if np.isnan(p) else float(f"{p:.12g}") for p in predictions],
    }
(FOLDER / "tables.json").write_text(json.dumps(result, indent=1) + "\n")
