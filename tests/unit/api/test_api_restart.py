"""What was acknowledged is there after a restart; and the first start of all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from controller.api.application import RESOURCES
from controller.api.bootstrap import BootstrapError, clouds_yaml, first_start
from controller.api.passwords import hash_password, verify_password
from controller.api.settings import ApiSettings
from controller.model.resources import User
from controller.store.journal import SqliteJournal
from controller.store.store import Store
from controller.testing.api import Bench, Cloud


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(SqliteJournal(tmp_path / "state.db"))
    cloud = Cloud(store)
    net = cloud.admin.post("/v2.0/networks", {"network": {
        "name": "n", "provider:network_type": "geneve"}}).json["network"]["id"]
    cloud.admin.post("/v2.0/subnets", {"subnet": {
        "network_id": net, "ip_version": 4, "cidr": "10.0.0.0/24",
        "dns_nameservers": ["9.9.9.9"], "host_routes": [
            {"destination": "10.8.0.0/16", "nexthop": "10.0.0.9"}]}})
    ports = cloud.admin.post("/v2.0/ports", {"ports": [
        {"network_id": net, "binding:profile": {"a": [1]}}, {"network_id": net}]}).json["ports"]
    cloud.admin.put(f"/v2.0/ports/{ports[0]['id']}", {"port": {"name": "renamed"}})
    cloud.admin.delete(f"/v2.0/ports/{ports[1]['id']}")
    refused = cloud.admin.post("/v2.0/ports", {"ports": [
        {"network_id": net}, {"network_id": net, "mac_address": ports[0]["mac_address"]}]})
    assert refused.status == 409
    targets = [f"/v2.0/{resource.collection}" for resource in RESOURCES]
    before = {target: cloud.admin.get(target).json for target in targets}
    revision = store.revision
    store.close()

    reopened = Store(SqliteJournal(tmp_path / "state.db"))
    assert reopened.revision == revision
    again = Cloud(reopened)
    assert {target: again.admin.get(target).json for target in targets} == before
    assert reopened.revision == revision, "logging in again writes nothing new"
    fresh = again.admin.post("/v2.0/networks", {"network": {}}).json["network"]
    assert fresh["provider:segmentation_id"] == 2
    reopened.close()


def test_the_first_start(tmp_path: Path) -> None:
    store, bench = Store(), Bench()
    settings = ApiSettings(host="0.0.0.0", port=19696)
    path = first_start(store, settings, bench.surroundings(), tmp_path / "state")
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["clouds.yaml"]
    text = path.read_text()
    assert 'auth_url: "http://127.0.0.1:19696/identity"' in text
    (user,) = store.snapshot.where(User)
    password = user.password_hash.removeprefix("hash of ")
    assert f'password: "{password}"' in text and len(password) >= 32
    cloud = Cloud(store)
    answer = cloud.anyone().post("/identity/v3/auth/tokens", {"auth": {"identity": {
        "methods": ["password"], "password": {"user": {
            "name": "admin", "domain": {"id": "default"}, "password": password}}},
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}})
    assert answer.status == 201


def test_later_starts_change_nothing(tmp_path: Path) -> None:
    store, bench = Store(), Bench()
    path = first_start(store, ApiSettings(), bench.surroundings(), tmp_path)
    assert path is not None
    path.unlink()
    revision = store.revision
    assert first_start(store, ApiSettings(), bench.surroundings(), tmp_path) is None
    assert store.revision == revision and not path.exists()


def test_a_crash_between_file_and_user(tmp_path: Path) -> None:
    text = clouds_yaml(ApiSettings(), "the-password")
    (tmp_path / "clouds.yaml").write_text(text)
    store = Store()
    first_start(store, ApiSettings(), Bench().surroundings(), tmp_path)
    assert store.snapshot.where(User)[0].password_hash == "hash of the-password"
    assert (tmp_path / "clouds.yaml").read_text() == text


def test_a_file_that_names_no_password(tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds: {}\n")
    store = Store()
    with pytest.raises(BootstrapError, match="move it away"):
        first_start(store, ApiSettings(), Bench().surroundings(), tmp_path)
    assert not store.snapshot.ids(User)


def test_passwords() -> None:
    encoded = hash_password("secret")
    assert encoded.startswith("$argon2id$")
    assert encoded != hash_password("secret")
    assert verify_password("secret", encoded)
    assert not verify_password("Secret", encoded)
    assert not verify_password("secret", "") and not verify_password("secret", "rubbish")
