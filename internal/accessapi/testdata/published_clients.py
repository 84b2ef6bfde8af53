"""Logs in, makes an application and gets a token by the published clients: published_clients.py URL.

The personal access token comes by TEST_TOKEN, or from the file that KQH_CONFIG_FILE_PATH names."""

import json
import os
import sys

from qhub.api.credentials import DefaultCredentialsProvider
from qhub.api.platform.client import HubPlatformClient
from qhub.api.user.client import HubUserClient
from qhub.service.client import HubServiceClient

url = sys.argv[1]
token = os.environ.get("TEST_TOKEN") or DefaultCredentialsProvider().get_access_token()


def platform(organization=None):
    return HubPlatformClient(base_url=url + "/qc-catalog", api_key=token, organization_id=organization)


client = platform()
users = HubUserClient(base_url=url + "/user-service/", api_key=token)
who = client.authentication.resolve_auth_token()
report = {"who": type(who).__name__, "me": users.user_settings.get_current_user().username}
assert who.id == users.authentication.authorize_by_personal_access_token().id

assert users.users.get_user_by_id(who.id).firstname == "owner"
users.users.check_user_exists(who.id)
assert [u.id for u in users.search.users(q="own")] == [who.id]
batch = users.users.resolve_users(ids=[who.id, "x"])
assert len(batch.users) == 1 and batch.not_found == "x"

tokens = users.user_settings_personal_access_tokens
made = tokens.create_personal_access_token(name="another", expires_at="2999-12-31")
assert made.value and made.expires_at == "2999-12-31"
listed = tokens.get_personal_access_tokens()
assert listed.default_token is None and all(t.value is None for t in listed.access_tokens)
tokens.delete_personal_access_token(made.id)
report["tokens"] = len(tokens.get_personal_access_tokens().access_tokens)

from qhub.api.platform.types import ProviderToken_Ibm  # noqa: E402

client.users.update_user_provider_token("IBM", request=ProviderToken_Ibm(value="a-token-of-a-provider"))
report["providers"] = client.users.get_user_provider_token_availability()
assert client.users.get_user_provider_token("IBM").value == "[redacted]"
client.users.delete_user_provider_token("IBM")

team = client.organizations.create_organization(display_name="Team", billing_email="a@b.c", description="d")
assert client.organizations.get_organization(team.id).is_user_last_owner
assert [o.id for o in client.organizations.search_organizations(q="tea")] == [team.id]
assert client.organizations.get_organization_members(team.id)[0].access_permission_role == "OWNER"
client.organizations.update_organization(team.id, display_name="Crew")
report["accounts"] = sorted(a.display_name for a in client.users.get_my_accounts())
assert client.users.get_my_invitations() == []

crew = platform(team.id)
app = crew.applications.create_application(name="app")
assert app.current_user_permission == "OWNER"
assert client.applications.get_applications() == [] and crew.applications.get_application(app.id).name == "app"
key = crew.applications.get_application_access_keys(app.id)[0]
subscription = crew.subscriptions.create_subscription(service_id="service", application_id=app.id)
assert crew.subscriptions.get_subscription(subscription.id).application.id == app.id
report["endpoint"] = crew.applications.get_application_subscriptions(app.id)[0].service.gateway_endpoint

service = HubServiceClient(url + "/gateway", key.access_key_id, key.secret_access_key, token_endpoint=url + "/token")
report["header"] = "Bearer " + service._auth.get_token()
refused = []
for attempt in (
    lambda: client.applications.get_application(app.id),
    lambda: client.applications.create_application(name=""),
    lambda: HubPlatformClient(base_url=url + "/qc-catalog", api_key="wrong").authentication.resolve_auth_token(),
    lambda: HubServiceClient(url, key.access_key_id, "wrong", token_endpoint=url + "/token")._auth.get_token(),
):
    try:
        attempt()
        refused.append("nothing")
    except Exception as error:
        refused.append(f"{type(error).__name__} {getattr(error, 'status_code', '')} {error}"[:300])
report["refused"] = refused
crew.subscriptions.delete_subscription(subscription.id)
crew.applications.delete_application(app.id)
client.organizations.delete_organization(team.id)
print(json.dumps(report))
