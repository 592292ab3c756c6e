"""PostgreSQL, and the disk buffer for when it is away. No other room speaks SQL.

SQLAlchemy Core builds simple statements and those whose conditions vary. A statement over arrays of rows (`unnest`), or
with clauses that Core does not express, is a `text()` constant above the function that uses it. Raw asyncpg serves
storing and claiming deliveries and bulk reads of experiments, where it takes half of SQLAlchemy's time.

Transactions take their locks in one order, which `recording.py` states at its head.
"""
