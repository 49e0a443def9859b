"""How well linked tables of a bank are kept: ``python -m tests.benchmarks.berka``.

The Berka bank: 4,500 accounts with their clients, cards, loans, standing orders and a sample of their
transactions (1,229 accounts have any). Persons are accounts. Prints as Markdown, for each epsilon and table,
the mean total variation distance of pairs to the training tables: of a column of the parent with one of the
row (`links`), of columns within a row (`own`), of the number of rows of a parent (`counts`), and of
transactions with the one before (`lag1`); beside it real accounts set aside, and independent rows: real rows
dealt to the parents at random. Numbers are taken in octiles of the training rows, and the rows of a parent
count as one. Of codes that the schema keeps private few are found of so few persons: ``--public-codes``
declares them, as the bank's description lists them. ``--validation`` divides the training part and leaves the
test part alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privsynth import LinkedSchema, LinkedSynthesizer
from tests.helpers.tables import real_data

HELD_OUT = 0.2
EVENTS = ("type", "operation", "amount", "balance")
START = pd.Timestamp("1993-01-01")
Tables = dict[str, pd.DataFrame]


def _texts(*values: str) -> dict[str, Any]:
    return {"type": "categorical", "categories": list(values)}


def _days(last: str, **fields: Any) -> dict[str, Any]:
    return {"type": "datetime", "low": "1993-01-01", "high": last, **fields}


def _money(high: float, low: float = 0.0) -> dict[str, Any]:
    return {"type": "real", "decimals": 2, "low": low, "high": high}


def _whole(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "low": low, "high": high}


PRIVATE = {"type": "categorical", "categories": "private"}
CODES = {  # as the bank's public description lists them
    ("order", "k_symbol"): _texts("POJISTNE", "SIPO", "LEASING", "UVER", "none"),
    ("trans", "type"): _texts("PRIJEM", "VYDAJ", "VYBER"),
    ("trans", "operation"): _texts(
        "VKLAD", "VYBER", "PREVOD Z UCTU", "PREVOD NA UCET", "VYBER KARTOU", "none"
    ),
    ("trans", "k_symbol"): _texts(
        "POJISTNE", "SLUZBY", "UROK", "SANKC. UROK", "SIPO", "DUCHOD", "UVER", "none"
    ),
}
SCHEMA: dict[str, Any] = {
    "version": 2,
    "person": "account",
    "tables": {
        "district": {"public": "district.csv.gz", "key": "A1"},
        "account": {
            "key": "account_id",
            "columns": {
                "district_id": {"table": "district"},
                "frequency": _texts("POPLATEK MESICNE", "POPLATEK TYDNE", "POPLATEK PO OBRATU"),
                "date": _days("1997-12-31"),
            },
        },
        "client": {
            "parent": "account",
            "parent_key": "account_id",
            "key": "disp_id",
            "max_records_per_parent": 2,
            "columns": {
                "type": _texts("OWNER", "DISPONENT"),
                "sex": _texts("F", "M"),
                "birth": _whole(1900, 2000),
                "district_id": {"table": "district"},
            },
        },
        "card": {
            "parent": "client",
            "parent_key": "disp_id",
            "key": "card_id",
            "max_records_per_parent": 1,
            "columns": {"type": _texts("classic", "junior", "gold"), "issued": _days("1998-12-31")},
        },
        "loan": {
            "parent": "account",
            "parent_key": "account_id",
            "key": "loan_id",
            "max_records_per_parent": 1,
            "columns": {
                "date": _days("1998-12-31"),
                "amount": _whole(0, 1_000_000),
                "duration": _whole(0, 60),
                "payments": _money(20_000),
                "status": _texts(*"ABCD"),
            },
        },
        "order": {
            "parent": "account",
            "parent_key": "account_id",
            "max_records_per_parent": 5,
            "columns": {"amount": _money(20_000), "k_symbol": PRIVATE},
        },
        "trans": {
            "parent": "account",
            "parent_key": "account_id",
            "max_records_per_parent": 40,
            "columns": {
                "date": _days("1994-03-31", role="order"),
                "type": PRIVATE,
                "operation": PRIVATE,
                "amount": _money(100_000),
                "balance": _money(250_000, low=-50_000),
                "k_symbol": PRIVATE,
            },
        },
    },
}


def load(*, public_codes: bool = False) -> tuple[Tables, LinkedSchema]:
    """Return the tables and their public schema; codes of transactions and orders are private by default."""
    folder, fields = real_data() / "berka", deepcopy(SCHEMA)
    for (table, column), declared in CODES.items() if public_codes else ():
        fields["tables"][table]["columns"][column] = declared
    read = {
        name: pd.read_csv(folder / f"{name}.csv.gz", dtype=str, keep_default_na=False)
        for name in ("account", "client", "disp", "card", "loan", "order", "trans_sample")
    }
    clients = read["disp"].merge(read["client"], on="client_id")
    clients["sex"] = np.where(clients["birth_number"].str[2:4].astype(int) > 50, "F", "M")
    clients["birth"] = 1900 + clients["birth_number"].str[:2].astype(int)
    found = {
        "account": read["account"],
        "client": clients,
        "card": read["card"],
        "loan": read["loan"],
        "order": read["order"],
        "trans": read["trans_sample"],
    }
    schema = LinkedSchema.from_dict(fields, folder=folder)
    tables = {}
    for name, of in schema.tables.items():
        keys = [key for key in (of.key, of.parent_key) if key is not None]
        rows = found[name][[*keys, *(column.name for column in of.schema.modelled)]].copy()
        for column in rows.columns.intersection(["date", "issued"]):
            rows[column] = pd.to_datetime("19" + rows[column].str[:6]).dt.strftime("%Y-%m-%d")
        for column in rows.columns.intersection(["k_symbol", "operation"]):
            rows[column] = rows[column].str.strip().replace("", "none")
        tables[name] = rows
    return tables, schema


def parted(tables: Tables, schema: LinkedSchema, seed: int) -> tuple[Tables, Tables]:
    """Return the tables of most accounts, and those of the accounts set aside, with all that is theirs."""
    root = schema.tables[schema.person]
    keys = tables[root.name][str(root.key)].to_numpy()
    aside = set(np.random.default_rng(seed).permutation(keys)[: round(HELD_OUT * len(keys))])
    parts: tuple[Tables, Tables] = {}, {}
    for name, of in schema.tables.items():
        for part, rows in zip(parts, (False, True), strict=True):
            if of.parent is None:
                part[name] = tables[name][tables[name][str(of.key)].isin(aside) == rows]
            else:
                parents = part[of.parent][str(schema.tables[of.parent].key)]
                part[name] = tables[name][tables[name][str(of.parent_key)].isin(parents)]
    return parts


def independent_rows(tables: Tables, schema: LinkedSchema, rng: np.random.Generator) -> Tables:
    """Return the tables with the rows of each child table dealt to the parents at random."""
    out = dict(tables)
    for name, of in schema.tables.items():
        if of.parent is not None:
            own = [column.name for column in of.schema.modelled]
            rows = tables[name].copy()
            rows[own] = rows[own].iloc[rng.permutation(len(rows))].to_numpy()
            out[name] = rows
    return out


class Bank:
    """Tables coded for comparison with the training tables.

    Args:
        tables: The tables.
        schema: Of them.
        like: Whose codes are taken; None makes them from these tables.
    """

    def __init__(self, tables: Tables, schema: LinkedSchema, like: Bank | None = None) -> None:
        self.schema, self.codes = schema, {}
        self.of_values: dict[tuple[str, str], Any] = {} if like is None else like.of_values
        self.tables = tables
        for name, of in schema.tables.items():
            rows = tables[name]
            if schema.tables[name].schema.order is not None:
                rows = rows.sort_values([str(of.parent_key), str(of.schema.order)], kind="stable")
            keys = [key for key in (of.key, of.parent_key) if key is not None]
            own = {column.name: self._coded(name, column, rows) for column in of.schema.modelled}
            self.codes[name] = rows[keys].reset_index(drop=True).assign(**own)

    def _coded(self, table: str, column: Any, rows: pd.DataFrame) -> np.ndarray:
        values = rows[column.name]
        if column.type == "datetime":
            values = (pd.to_datetime(values) - START).dt.days
        if column.is_numeric:
            values = values.astype(float)
            made = np.unique(np.nanquantile(values, np.arange(1, 8) / 8))
            return np.searchsorted(self.of_values.setdefault((table, column.name), made), values, "right")
        texts = values.astype(str)
        known = self.of_values.setdefault(
            (table, column.name), {text: i for i, text in enumerate(sorted(set(texts)))}
        )
        return texts.map(known).fillna(len(known)).to_numpy().astype(np.int64)

    def compared(self, table: str) -> list[str]:
        """Return the columns that are compared: all but references to public tables."""
        return [c.name for c in self.schema.tables[table].schema.modelled if not c.name.endswith("_id")]

    def pairs(self, table: str) -> dict[str, list[pd.Series]]:
        """Return shares of joint codes of pairs, by kind of pair."""
        of = self.schema.tables[table]
        key, parent = str(of.parent_key), self.schema.tables[str(of.parent)]
        rows = self.codes[table]
        weight = 1.0 / rows.groupby(key)[key].transform("size")
        above = self.codes[parent.name].set_index(str(parent.key)).add_prefix("parent.")
        both = rows.join(above, on=key)
        own = self.compared(table)
        links = [(f"parent.{x}", y) for x in self.compared(parent.name) for y in own]
        out = {
            "links": [_shares(both[x], both[y], weight) for x, y in links],
            "own": [_shares(rows[x], rows[y], weight) for x, y in itertools.combinations(own, 2)],
        }
        if of.schema.order is not None:
            before = rows.groupby(key)[list(EVENTS)].shift()
            has = before.notna().all(axis=1)
            out["lag1"] = [_shares(before[x][has], rows[y][has], weight[has]) for x in EVENTS for y in EVENTS]
        number = self.codes[parent.name][str(parent.key)].map(rows.groupby(key).size()).fillna(0)
        out["counts"] = [number.clip(upper=of.max_records_per_parent).value_counts(normalize=True)]
        return out


def _shares(x: pd.Series, y: pd.Series, weight: pd.Series) -> pd.Series:
    by_code = weight.groupby([x.to_numpy(), y.to_numpy()]).sum()
    return by_code / by_code.sum()


def figures(real: Bank, other: Bank) -> dict[str, float]:
    """Return the mean distance of each kind of pair of each child table, as ``table.kind``."""
    out = {}
    for name, of in real.schema.tables.items():
        if of.parent is not None:
            theirs = other.pairs(name)
            for kind, shares in real.pairs(name).items():
                each = [
                    a.sub(b, fill_value=0).abs().sum() / 2 for a, b in zip(shares, theirs[kind], strict=True)
                ]
                if each:
                    out[f"{name}.{kind}"] = float(np.mean(each))
    return out


def run(epsilon: float, seed: int, *, validation: bool, public_codes: bool) -> dict[str, Any]:
    """Return the figures of accounts set aside, independent rows and synthetic accounts of one fit."""
    tables, schema = load(public_codes=public_codes)
    train, aside = parted(tables, schema, 1000 + seed)
    if validation:
        train, aside = parted(train, schema, 2000 + seed)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        model = LinkedSynthesizer(epsilon=epsilon, delta=1e-6, random_state=seed).fit(
            train, schema=schema, dataset="bank", ledger=Path(folder) / "ledger.sqlite", on_violation="clip"
        )
        seconds = time.monotonic() - begun
    drawn = Bank(model.sample(len(train["account"]), random_state=seed), schema, real := Bank(train, schema))
    dealt = Bank(independent_rows(train, schema, np.random.default_rng(seed)), schema, real)
    return {
        "real holdout": figures(real, Bank(aside, schema, real)),
        "independent rows": figures(real, dealt),
        "synthetic": figures(real, drawn) | {"fit_seconds": seconds},
    }


def markdown(epsilon: float, runs: list[dict[str, Any]]) -> str:
    """Return means over the fits, and the range of the synthetic accounts' figures."""
    lines = [
        f"### Berka, linked, epsilon {epsilon:g}, {len(runs)} fits",
        "",
        "| | real holdout | independent rows | synthetic |",
        "|---|---|---|---|",
    ]
    for figure in runs[0]["synthetic"]:
        each = {who: [of.get(figure, np.nan) for of in (r[who] for r in runs)] for who in runs[0]}
        drawn = each["synthetic"]
        cells = [f"{np.mean(each[who]):.3f}" for who in ("real holdout", "independent rows")]
        cells.append(f"{np.mean(drawn):.3f} ({min(drawn):.3f} to {max(drawn):.3f})")
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.berka",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0, 3.0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--public-codes", action="store_true", help="declare the bank's codes")
    parser.add_argument("--json", type=Path, default=None, help="file that every run is added to, by line")
    asked = parser.parse_args()
    for epsilon in asked.epsilons:
        runs = [
            run(epsilon, seed, validation=asked.validation, public_codes=asked.public_codes)
            for seed in range(asked.seeds)
        ]
        if asked.json is not None:
            with asked.json.open("a") as file:
                file.write(json.dumps({"epsilon": epsilon, "runs": runs}) + "\n")
        print(markdown(epsilon, runs), flush=True)


if __name__ == "__main__":
    main()
