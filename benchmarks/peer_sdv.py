"""SDV's HMA synthesizer on two tables; run with its own packages before ours on the path, as it is no dependency.

    PYTHONPATH=FOLDER_OF_SDV python benchmarks/peer_sdv.py ALERTS.parquet TRANSACTIONS.parquet ALERTS ROWS_AN_ALERT OUT

Prints JSON: seconds of fit and sample, rows, peak memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path

#: The two tables as SDV describes them.
METADATA = {
    "tables": {
        "alerts": {
            "primary_key": "AlertID",
            "columns": {
                "AlertID": {"sdtype": "id"},
                "Date": {"sdtype": "datetime", "datetime_format": "%Y-%m-%d"},
                "Outcome": {"sdtype": "categorical"},
            },
        },
        "transactions": {
            "columns": {
                "AlertID": {"sdtype": "id"},
                "Before": {"sdtype": "numerical"},
                "Entry": {"sdtype": "categorical"},
                "Type": {"sdtype": "categorical"},
                "Size": {"sdtype": "numerical"},
            }
        },
    },
    "relationships": [
        {
            "parent_table_name": "alerts",
            "child_table_name": "transactions",
            "parent_primary_key": "AlertID",
            "child_foreign_key": "AlertID",
        }
    ],
}


def main() -> None:
    warnings.filterwarnings("ignore")
    import pandas as pd
    import sdv
    from sdv.metadata import Metadata
    from sdv.multi_table import HMASynthesizer

    alerts = pd.read_parquet(sys.argv[1]).head(int(sys.argv[3]))
    transactions = pd.read_parquet(sys.argv[2])
    transactions = transactions[transactions["AlertID"].isin(alerts["AlertID"])]
    transactions = transactions.groupby("AlertID", sort=False).head(int(sys.argv[4])).reset_index(drop=True)
    alerts["Date"] = pd.to_datetime(alerts["Date"])
    alerts["Outcome"] = alerts["Outcome"].astype(str)
    for name in ("Entry", "Type"):
        transactions[name] = transactions[name].astype(str)
    dates = alerts.set_index("AlertID")["Date"]
    # The paper's own column: seconds before the alert.
    moment = transactions["AlertID"].map(dates)
    transactions["Before"] = (moment - transactions.pop("Timestamp")).dt.total_seconds() + 86_400
    metadata = Metadata.load_from_dict(METADATA)
    begin = time.perf_counter()
    model = HMASynthesizer(metadata, verbose=False)
    for table in ("alerts", "transactions"):
        model.set_table_parameters(table, {"default_distribution": "norm"})
    model.fit({"alerts": alerts, "transactions": transactions})
    fitted = time.perf_counter()
    drawn = model.sample_scale(1.0)
    told = {
        "version": sdv.__version__,
        "fit": fitted - begin,
        "sample": time.perf_counter() - fitted,
        "alerts": len(drawn["alerts"]),
        "given": len(transactions),
        "rows": len(drawn["transactions"]),
        "cpu": time.process_time(),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    made = drawn["alerts"].merge(drawn["transactions"], on="AlertID")
    made.to_parquet(Path(sys.argv[5]))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
