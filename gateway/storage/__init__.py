"""The store: tables, repositories, migrations and the one writer; SQLite and PostgreSQL behind one set of repositories."""
