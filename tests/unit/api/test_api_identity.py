"""The identity door: who may log in, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from controller.testing.api import Answer, Client, Cloud

V3 = "/identity/v3"


def password(name: str, secret: str | None = None, **scope: Any) -> dict[str, Any]:
    user = {"name": name, "domain": {"id": "default"},
            "password": name if secret is None else secret}
    body: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    return {"auth": body | ({"scope": scope} if scope else {})}


def log_in(cloud: Cloud, body: object) -> Answer:
    return cloud.anyone().post(f"{V3}/auth/tokens", body)


def by_token(secret: str, **scope: Any) -> dict[str, Any]:
    auth: dict[str, Any] = {"identity": {"methods": ["token"], "token": {"id": secret}}}
    return {"auth": auth | ({"scope": scope} if scope else {})}


RED: dict[str, Any] = {"project": {"name": "red", "domain": {"name": "Default"}}}


def test_versions(cloud: Cloud) -> None:
    root = cloud.anyone().get("/identity")
    assert root.status == 300
    assert root.json["versions"]["values"][0]["links"][0]["href"] == (
        "http://controller:9696/identity/v3/")
    assert cloud.anyone().get(V3).json["version"]["id"] == "v3.14"


def test_a_password_and_a_project(cloud: Cloud) -> None:
    cloud.user("red", "member")
    answer = log_in(cloud, password("red-member", **RED))
    assert answer.status == 201
    token = answer.json["token"]
    assert token["project"]["name"] == "red"
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    urls = {service["type"]: service["endpoints"][0]["url"] for service in token["catalog"]}
    assert urls == {"identity": "http://controller:9696/identity",
                    "network": "http://controller:9696"}
    client = Client(cloud.application, answer.headers["X-Subject-Token"])
    assert client.get("/v2.0/networks").status == 200
    assert client.get(f"{V3}/auth/tokens", headers={
        "X-Subject-Token": client.token or ""}).json == answer.json


@pytest.mark.parametrize("body", [
    password("red-member", "wrong", **RED), password("nobody", "x", **RED),
    password("red-member", project={"name": "blue"}), password("red-member", project={"id": "x"}),
    password("red-member", project={"name": "red", "domain": {"name": "other"}}),
    password("red-member", system={"all": True}), by_token("x" * 43), by_token("x", **RED)])
def test_refused(cloud: Cloud, body: object) -> None:
    cloud.user("red", "member")
    cloud.user("blue", "member")
    answer = log_in(cloud, body)
    assert answer.status == 401
    assert answer.json["error"]["title"] == "Unauthorized"
    assert "X-Subject-Token" not in answer.headers


def test_an_unknown_name_costs_as_much_as_a_wrong_password(cloud: Cloud) -> None:
    cloud.user("red", "member")
    for name in ("red-member", "nobody"):
        before = cloud.bench.hashed
        log_in(cloud, password(name, "wrong", **RED))
        assert cloud.bench.hashed == before + 1


@pytest.mark.parametrize("body", [
    {}, [], None, {"auth": 5}, {"auth": {}}, {"auth": {"identity": {"methods": []}}},
    {"auth": {"identity": {"methods": ["totp"]}}}, {"auth": {"identity": {"methods": ["token"]}}},
    {"auth": {"identity": {"methods": ["password"]}}},
    {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": 5}}}}},
    password("x" * 300, "y"), password("x", "y" * 5000), password("x", "y", project=5)])
def test_malformed_logins(cloud: Cloud, body: object) -> None:
    answer = log_in(cloud, body)
    assert answer.status == 400
    assert answer.json["error"]["title"] == "Bad Request"


def test_without_a_project_a_token_only_leads_on(cloud: Cloud) -> None:
    cloud.user("red", "member")
    unscoped = log_in(cloud, password("red-member"))
    assert "project" not in unscoped.json["token"]
    secret = unscoped.headers["X-Subject-Token"]
    client = Client(cloud.application, secret)
    assert client.get("/v2.0/networks").error == (403, "PolicyNotAuthorized")
    projects = client.get(f"{V3}/auth/projects").json["projects"]
    assert [each["name"] for each in projects] == ["red"]
    cloud.bench.pass_time(3600)
    scoped = log_in(cloud, by_token(secret, **RED))
    assert scoped.json["token"]["methods"] == ["password", "token"]
    assert scoped.json["token"]["expires_at"] == unscoped.json["token"]["expires_at"]


def test_tokens_expire(cloud: Cloud) -> None:
    assert cloud.admin.get("/v2.0/networks").status == 200
    cloud.bench.pass_time(12 * 3600 - 1)
    assert cloud.admin.get("/v2.0/networks").status == 200
    cloud.bench.pass_time(1)
    assert cloud.admin.get("/v2.0/networks").status == 401


def test_revoking(cloud: Cloud) -> None:
    red = cloud.user("red", "member")
    blue = cloud.user("blue", "member")
    theirs = {"X-Subject-Token": red.token or ""}
    assert blue.delete(f"{V3}/auth/tokens", headers=theirs).status == 403
    assert blue.get(f"{V3}/auth/tokens", headers=theirs).status == 403
    assert cloud.admin.call("HEAD", f"{V3}/auth/tokens", headers=theirs).status == 200
    assert red.delete(f"{V3}/auth/tokens", headers=theirs).status == 204
    assert red.get("/v2.0/networks").status == 401
    assert cloud.admin.get(f"{V3}/auth/tokens", headers=theirs).status == 404
    assert cloud.admin.get(f"{V3}/auth/tokens").status == 404


def account(cloud: Cloud) -> tuple[str, str]:
    """(project, user) made through the door."""
    admin = cloud.admin
    project = admin.post(f"{V3}/projects", {"project": {
        "name": "green", "domain_id": "default", "description": None}})
    assert project.status == 201, project.raw
    user = admin.post(f"{V3}/users", {"user": {
        "name": "gina", "password": "pw", "domain_id": None,
        "default_project_id": project.json["project"]["id"]}})
    assert user.status == 201, user.raw
    assert "password" not in user.json["user"]
    return project.json["project"]["id"], user.json["user"]["id"]


def test_roles_take_effect_at_once(cloud: Cloud) -> None:
    project, user = account(cloud)
    admin = cloud.admin
    scope = {"project": {"id": project}}
    assert log_in(cloud, password("gina", "pw", **scope)).status == 401
    member = admin.get(f"{V3}/roles?name=member").json["roles"][0]["id"]
    grant = f"{V3}/projects/{project}/users/{user}/roles/{member}"
    assert admin.call("HEAD", grant).status == 404
    assert admin.put(grant).status == 204
    assert admin.call("HEAD", grant).status == 204
    answer = log_in(cloud, password("gina", "pw"))
    assert answer.json["token"]["project"]["id"] == project
    gina = Client(cloud.application, answer.headers["X-Subject-Token"])
    assert gina.post("/v2.0/networks", {"network": {}}).status == 201
    listed = admin.get(f"{V3}/role_assignments?user.id={user}&include_names=True").json
    assert [(each["user"]["name"], each["scope"]["project"]["name"], each["role"]["name"])
            for each in listed["role_assignments"]] == [("gina", "green", "member")]
    assert admin.delete(grant).status == 204
    assert gina.get("/v2.0/networks").status == 401
    assert admin.delete(grant).status == 404


@pytest.mark.parametrize("change", [
    {"password": "other"}, {"enabled": False}], ids=["password", "disabled"])
def test_a_changed_user_is_logged_out(cloud: Cloud, change: dict[str, Any]) -> None:
    red = cloud.user("red", "member")
    patched = cloud.admin.call("PATCH", f"{V3}/users/user-red-member", {"user": change})
    assert patched.status == 200
    assert red.get("/v2.0/networks").status == 401
    assert log_in(cloud, password("red-member", **RED)).status == 401


def test_changing_ones_own_password(cloud: Cloud) -> None:
    red = cloud.user("red", "member")
    target = f"{V3}/users/user-red-member/password"
    wrong = {"user": {"original_password": "x", "password": "new"}}
    assert red.post(target, wrong).status == 401
    assert cloud.admin.post(target, wrong).status == 403
    assert red.post(target, {"user": {"original_password": "red-member"}}).status == 400
    assert red.post(target, {"user": {
        "original_password": "red-member", "password": "new"}}).status == 204
    assert log_in(cloud, password("red-member", "new", **RED)).status == 201


def test_a_project_that_owns_something_stays(cloud: Cloud) -> None:
    red = cloud.user("red", "member")
    net = red.post("/v2.0/networks", {"network": {}}).json["network"]["id"]
    refused = cloud.admin.delete(f"{V3}/projects/project-red")
    assert refused.status == 409
    assert net in refused.json["error"]["message"]
    red.delete(f"/v2.0/networks/{net}")
    assert cloud.admin.delete(f"{V3}/projects/project-red").status == 204
    assert red.get("/v2.0/networks").status == 401
    assert cloud.admin.delete(f"{V3}/users/user-red-member").status == 204
    assert cloud.admin.get(f"{V3}/users/user-red-member").status == 404


def test_names_are_unique(cloud: Cloud) -> None:
    account(cloud)
    admin = cloud.admin
    again = admin.post(f"{V3}/projects", {"project": {"name": "green"}})
    assert again.status == 409 and "green" in again.json["error"]["message"]
    assert admin.post(f"{V3}/users", {"user": {"name": "gina"}}).status == 409
    found = admin.get(f"{V3}/projects?name=green").json
    assert [each["name"] for each in found["projects"]] == ["green"]
    assert found["links"]["next"] is None
    assert admin.get(f"{V3}/projects/green").status == 404


def test_only_administrators_keep_accounts(cloud: Cloud) -> None:
    red = cloud.user("red", "member")
    for method, target in [
            ("GET", "/projects"), ("POST", "/projects"), ("DELETE", "/projects/project-red"),
            ("PATCH", "/projects/project-red"), ("GET", "/projects/project-admin"),
            ("GET", "/users"), ("POST", "/users"), ("GET", "/users/user-admin-admin"),
            ("PATCH", "/users/user-red-member"), ("DELETE", "/users/user-red-member"),
            ("GET", "/role_assignments"), ("GET", "/users/user-admin-admin/projects"),
            ("PUT", "/projects/project-red/users/user-red-member/roles/x")]:
        refused = red.call(method, V3 + target, {"project": {"name": "x"}, "user": {"name": "x"}}
                           if method in ("POST", "PATCH") else None)
        assert refused.status == 403, (method, target)
        assert cloud.anyone().call(method, V3 + target).status == 401
    assert red.get(f"{V3}/projects/project-red").json["project"]["name"] == "red"
    assert red.get(f"{V3}/users/user-red-member").json["user"]["name"] == "red-member"
    assert red.get(f"{V3}/users/user-red-member/projects").json["projects"][0]["name"] == "red"


def test_domains_and_roles(cloud: Cloud) -> None:
    admin = cloud.admin
    assert admin.get(f"{V3}/domains?name=Default").json["domains"][0]["id"] == "default"
    assert admin.get(f"{V3}/domains/default").json["domain"]["name"] == "Default"
    assert admin.get(f"{V3}/domains/other").status == 404
    names = [each["name"] for each in admin.get(f"{V3}/roles").json["roles"]]
    assert names == ["admin", "member", "reader"]
    assert admin.get(f"{V3}/roles/admin").status == 404


def test_changing_a_project(cloud: Cloud) -> None:
    project, user = account(cloud)
    admin, target = cloud.admin, f"{V3}/projects/{project}"
    changed = admin.call("PATCH", target, {"project": {"name": "lime", "description": None}})
    assert (changed.json["project"]["name"], changed.json["project"]["description"]) == ("lime", "")
    taken = admin.call("PATCH", target, {"project": {"name": "admin"}})
    assert taken.status == 409
    assert admin.call("PATCH", target, {"project": {"colour": "x"}}).status == 400
    assert admin.call("PATCH", target, {"user": {}}).status == 400
    assert admin.call("PATCH", f"{V3}/projects/x", {"project": {}}).status == 404
    assert admin.call("PATCH", f"{V3}/users/{user}", {"user": {"name": "admin-admin"}}
                      ).status == 409
    assert admin.call("PATCH", f"{V3}/users/{user}", {"user": {"default_project_id": "x"}}
                      ).status == 400


def test_a_disabled_project_lets_nobody_in(cloud: Cloud) -> None:
    red = cloud.user("red", "member")
    patched = cloud.admin.call("PATCH", f"{V3}/projects/project-red",
                               {"project": {"enabled": False}})
    assert patched.status == 200
    assert red.get("/v2.0/networks").status == 401
    assert log_in(cloud, password("red-member", **RED)).status == 401


def test_a_user_without_a_password_cannot_log_in(cloud: Cloud) -> None:
    made = cloud.admin.post(f"{V3}/users", {"user": {"name": "nopw", "password": None}})
    assert made.status == 201
    for secret in ("", "x"):
        assert log_in(cloud, password("nopw", secret)).status == 401


def test_what_was_given_on_a_project(cloud: Cloud) -> None:
    cloud.user("red", "member")
    target = f"{V3}/projects/project-red/users/user-red-member/roles"
    assert [each["name"] for each in cloud.admin.get(target).json["roles"]] == ["member"]
    assert cloud.admin.put(f"{target}/no-such-role").status == 404
    assert cloud.admin.get(f"{V3}/projects/x/users/y/roles").status == 404


def test_the_catalogue(cloud: Cloud) -> None:
    listed = cloud.admin.get(f"{V3}/auth/catalog").json["catalog"]
    assert {each["type"] for each in listed} == {"identity", "network"}
    bare = cloud.admin.get(f"{V3}/auth/tokens?nocatalog", headers={
        "X-Subject-Token": cloud.admin.token or ""}).json["token"]
    assert "catalog" not in bare and bare["project"]["name"] == "admin"


def test_expired_tokens_are_forgotten(cloud: Cloud) -> None:
    tokens = cloud.application.tokens
    for _ in range(300):
        tokens.issue("user-admin-admin", "project-admin", ("password",))
    cloud.bench.pass_time(13 * 3600)
    for _ in range(300):
        tokens.issue("user-admin-admin", "project-admin", ("password",))
    assert len(tokens) <= 300


def test_tokens_are_not_kept_in_the_clear(cloud: Cloud) -> None:
    secret, _ = cloud.application.tokens.issue("user-admin-admin", "project-admin", ("password",))
    assert secret not in repr(vars(cloud.application.tokens))
