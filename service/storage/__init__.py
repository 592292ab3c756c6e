"""Storage in PostgreSQL, and in a spool on the local disk while PostgreSQL is away. No other package contains SQL.

SQLAlchemy Core builds simple statements, and statements whose conditions vary. A statement that reads arrays of rows
(`unnest`), or has clauses that Core cannot express, is a `text()` constant beside the function that uses it. To store
deliveries, to claim deliveries and to read many experiments, the package uses asyncpg without SQLAlchemy, which halves
the time.

Transactions take their locks in one order, which the docstring of `recording.py` describes.
"""
