"""A small bank: clients, their accounts, the cards of clients, and transactions of accounts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from privsynth.schema.linked import LinkedSchema

BOOLEAN = {"type": "boolean"}
TABLES: dict[str, dict[str, Any]] = {
    "trans": {
        "parent": "account",
        "parent_key": "account",
        "max_records_per_parent": 4,
        "columns": {
            "day": {"type": "integer", "low": 0, "high": 400, "role": "order"},
            "big": BOOLEAN,
        },
    },
    "client": {
        "key": "id",
        "columns": {
            "sex": {"type": "categorical", "categories": ["F", "M"], "role": "group"},
            "rich": BOOLEAN,
            "age": {"type": "integer", "low": 0, "high": 99},
        },
    },
    "account": {
        "parent": "client",
        "parent_key": "owner",
        "key": "account",
        "max_records_per_parent": 2,
        "columns": {"gold": BOOLEAN, "kind": {"type": "categorical", "categories": "private"}},
    },
    "card": {
        "parent": "client",
        "parent_key": "client",
        "max_records_per_parent": 1,
        "columns": {"limit": {"type": "real", "decimals": 1, "low": 0, "high": 9, "missing": True}},
    },
}
SCHEMA = LinkedSchema(TABLES, person="client")


def bank(n: int = 600, seed: int = 0, first_id: int = 7) -> dict[str, pd.DataFrame]:
    """Return tables with a law across them: of the rich most accounts are gold, of those most rows big."""
    rng = np.random.default_rng(seed)
    rich = rng.random(n) < 0.4
    client = pd.DataFrame(
        {
            "id": np.arange(n) + first_id,
            "sex": rng.choice(["F", "M"], n),
            "rich": rich,
            "age": rng.integers(18, 90, n),
        }
    )
    n_accounts = np.where(rich, rng.integers(1, 4, n), rng.integers(0, 2, n))
    account = pd.DataFrame({"owner": np.repeat(client["id"], n_accounts)}).reset_index(drop=True)
    m = len(account)
    account["account"] = [f"a{i}" for i in range(m)]
    account["gold"] = rng.random(m) < np.where(np.repeat(rich, n_accounts), 0.9, 0.1)
    account["kind"] = rng.choice(["day", "week"], m)
    n_rows = rng.integers(0, 7, m)
    trans = pd.DataFrame({"account": np.repeat(account["account"], n_rows)}).reset_index(drop=True)
    place = np.arange(len(trans)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
    trans["day"] = place * 50 + rng.integers(0, 49, len(trans))
    trans["big"] = rng.random(len(trans)) < np.where(np.repeat(account["gold"], n_rows), 0.9, 0.1)
    card = pd.DataFrame({"client": client["id"][rng.random(n) < 0.3], "limit": 2.5}).reset_index(drop=True)
    tables = {"client": client, "account": account, "trans": trans, "card": card}
    return {name: t.sample(frac=1.0, random_state=seed).reset_index(drop=True) for name, t in tables.items()}
