"""The outcome spool: outcomes that wait for the ledger, on disk, so that no death loses paid work (B16).

    writer ── keep ──> OutcomeSpool ── append, fsync ──> one file of this process, locked while it lives
    successor ── take the lock: its owner is dead ──> Heir ── settle by token ──> ledger, then remove the file

A file holds results, errors and tokens, never arguments, and is readable by
its owner only. Replaying is harmless however often it happens: the token
decides, and what comes too late is kept on its attempt as `late`.
"""
