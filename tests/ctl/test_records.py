"""Keys and the record of who did what."""

import json
import stat
from pathlib import Path

from tests.api.house import House
from tests.ctl.running import gatewayctl


async def test_keys_are_made_into_a_file_of_their_own_and_revoked(house: House, tmp_path: Path):
    file = tmp_path / "viewer.key"
    made = await gatewayctl(house, "keys", "create", "--name", "wall", "--role", "viewer", "--to", str(file), "-o", "json")
    key = file.read_text().strip()
    assert (made.code, stat.S_IMODE(file.stat().st_mode), key in made.out + made.err) == (0, 0o600, False)
    assert (await gatewayctl(house, "get", "zones", GATEWAY_KEY=key)).code == 0
    assert (await gatewayctl(house, "keys", "revoke", json.loads(made.out)["id"])).code == 0
    assert (await gatewayctl(house, "get", "zones", GATEWAY_KEY=key)).code == 4


async def test_the_record_is_listed_and_verified_against_heads_kept_elsewhere(house: House, tmp_path: Path):
    await gatewayctl(house, "keys", "create", "--name", "x", "--role", "viewer")
    listed = await gatewayctl(house, "audit", "list")
    assert "key.created" in listed.out
    heads = tmp_path / "heads.json"
    assert (await gatewayctl(house, "audit", "verify", "--save", str(heads))).code == 0
    assert (await gatewayctl(house, "audit", "verify", "--against", str(heads))).code == 0
    chain, (seq, digest) = next(iter(json.loads(heads.read_text()).items()))
    heads.write_text(json.dumps({chain: [seq + 5, digest]}))
    shrunk = await gatewayctl(house, "audit", "verify", "--against", str(heads))
    assert (shrunk.code, "does not hold" in shrunk.err) == (1, True)
