//! What a container is: ids, names, configuration, the status table, an SQLite store, per-container locks and a run ledger.
