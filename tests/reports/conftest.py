"""The ledger lives on both stores."""

from tests.storage.conftest import store, store_url  # noqa: F401 -- pytest finds fixtures by their names
