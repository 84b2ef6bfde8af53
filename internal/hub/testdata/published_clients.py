"""Deploys, publishes and calls a service by the published clients: published_clients.py URL ARCHIVE.

The personal access token comes by TEST_TOKEN."""

import datetime
import json
import os
import sys
import time

from qhub.api.platform import (
    ServiceResourceConfigurationCpu,
    ServiceResourceConfigurationMemory,
    ServiceRuntimeConfiguration,
    ServiceSourceFile,
    TenantId_Organization,
)
from qhub.api.platform.client import HubPlatformClient
from qhub.service.client import HubServiceClient

url, archive = sys.argv[1:]
client = HubPlatformClient(base_url=url + "/qc-catalog/", api_key=os.environ["TEST_TOKEN"])
services, managed = client.services, client.managed_services
report = {}

assert services.check_service_name_availability(name="greeter")
made = managed.create_managed_service(
    name="greeter", summary="greets", description="Says it.", source=ServiceSourceFile(type="file"),
    runtime_configuration=ServiceRuntimeConfiguration(runtime="PYTHON_TEMPLATE", environment={"MODE": "fast"}, apply_provider_tokens=False),
    resource_configurations=[ServiceResourceConfigurationMemory(amount=256, unit="M", type="memory")],
)
assert not services.check_service_name_availability(name="greeter")
managed.update_managed_service_resource_configuration(made.id, request=ServiceResourceConfigurationCpu(amount=1000, unit="m", type="cpu"))
managed.update_managed_service_runtime_configuration(made.id, runtime="PYTHON_TEMPLATE", environment={"MODE": "slow"}, apply_provider_tokens=False)
configuration = lambda: services.get_service(made.id).service_definitions[0].runtime_configuration
managed.update_managed_service_runtime_configuration(made.id, runtime="PYTHON_TEMPLATE", environment={"MODE": "slow", "SECRET_EXTRA": "a-value-that-is-kept"}, apply_provider_tokens=False)
read = configuration()
managed.update_managed_service_runtime_configuration(made.id, runtime=read.runtime, environment=read.environment, apply_provider_tokens=read.apply_provider_tokens)
report["environment"] = configuration().environment
with open(archive, "rb") as f:
    managed.upload_managed_service_source(made.id, file=f)
managed.build_managed_service(made.id)
while (build := managed.get_managed_service_build_status(made.id)).status == "WORKING":
    time.sleep(0.1)
report["build"] = [build.status, build.step, build.validation_result.state]
report["log"] = [entry.message for entry in managed.get_managed_service_build_logs(made.id)]
with open(archive, "rb") as f:
    assert b"".join(managed.download_managed_service_source(made.id)) == f.read()

services.update_service_publication(made.id, scope="INTERNAL")
services.update_service_description(made.id, description="Says it louder.")
services.update_service_display_name(made.id, display_name="The Greeter")
services.update_service_summary(made.id, summary="greets well")
got = services.get_service(made.id)
definition = got.service_definitions[0]
report["service"] = [got.display_name, definition.description, definition.lifecycle, definition.version]
report["listed"] = [(s.name, s.lifecycle) for s in services.get_services()]
report["openapi"] = json.loads(services.get_service_open_api(made.id, format="JSON"))["openapi"]

app = client.applications.create_application(name="app")
key = client.applications.get_application_access_keys(app.id)[0]
subscription = client.subscriptions.create_subscription(service_id=made.id, application_id=app.id)
assert [s.id for s in services.get_service_subscriptions(made.id)] == [subscription.id]
endpoint = subscription.service.gateway_endpoint
assert endpoint == definition.gateway_endpoint
service = HubServiceClient(endpoint, key.access_key_id, key.secret_access_key, token_endpoint=url + "/token")
execution = service.run(request={"name": "you"}, secrets={"api_token": "a-token-of-19-bytes"}, tags=["t"])
execution.wait_for_final_state(timeout=60)
report["result"] = execution.result().data()
shown = service.run(request={"name": "you", "show": "SECRET_EXTRA"})
shown.wait_for_final_state(timeout=60)
shown_data = shown.result().data()
report["shown"] = [shown_data["length"], "kept" in json.dumps(shown_data)]
report["execution"] = [execution.status, [entry.message for entry in execution.logs()]]
assert [e.id for e in service.get_service_executions()] == [shown.id, execution.id]

job = client.service_jobs.create_service_job(service_id=made.id, input={"name": "job", "$secrets": {"api_token": "a-longer-token-2"}}, tags=["j"])
executions = client.service_executions
while executions.get_service_execution(job.id).status not in ("SUCCEEDED", "FAILED"):
    time.sleep(0.1)
page = client.service_jobs.get_service_jobs(page=0, size=10, sort="createdAt,desc", service_id=made.id)
report["jobs"] = [page.total_elements, page.content[0].id == job.id, page.last]
report["executions"] = sorted(e.tags[0] for e in executions.get_service_executions().content if e.tags)
report["job"] = executions.get_service_execution_result(job.id)
report["job"].pop("_embedded"), report["job"].pop("_links")
stored = client.service_jobs.create_service_job(service_id=made.id, input={"name": "again"}, tags=["kept", "x"], store_input=True)
again = client.service_jobs.rerun_service_job(stored.id)
report["rerun"] = [json.loads(stored.input), json.loads(client.service_jobs.get_service_job(again.id).input), again.tags, again.id != stored.id]
kept = client.service_jobs.get_service_jobs(tags=["kept", "other"], ids=stored.id[:4] + "*", sort="createdAt,asc", created_after=datetime.datetime(2026, 1, 1))
report["kept"] = [e.id for e in kept.content] == [stored.id, again.id]
lineage = executions.get_service_execution_lineage(stored.id)
report["lineage"] = [len(lineage.nodes), lineage.nodes[0].id == stored.id, lineage.truncated]
assert executions.get_service_execution_metrics(stored.id).service_execution_id == stored.id
assert executions.get_service_execution_costs(stored.id) is None
logs = executions.get_service_execution_logs(job.id)
report["logs"] = [logs.first.message, logs.last.message, logs.empty]
executions.cancel_service_execution(job.id)

team = client.organizations.create_organization(display_name="Team", billing_email="a@b.c")
share = client.service_shares.share_service(made.id, shared_with=TenantId_Organization(value=team.id), role="VIEWER")
client.service_shares.update_service_share_role(made.id, share.id, role="MAINTAINER")
shared = client.service_shares.get_shares_for_service(made.id)[0]
other = HubPlatformClient(base_url=url + "/qc-catalog", api_key=os.environ["TEST_TOKEN"], organization_id=team.id)
report["share"] = [shared.role, shared.shared_with.value == team.id, shared.active, other.services.get_service(made.id).current_user_permission]
client.service_shares.delete_service_share(made.id, share.id)
market = client.marketplace
report["market"] = [s.name for s in market.get_marketplace_services(sort="name,asc").content]
assert market.get_marketplace_service(made.id).gateway_endpoint == endpoint
assert json.loads(market.get_marketplace_service_openapi(made.id, format="JSON"))["openapi"] == "3.1.0"
numbers = services.get_service_statistics(made.id)
report["statistics"] = [numbers.subscription_count, numbers.managed_service_executions.total_count > 3]
report["limits"] = client.entitlements.get_entitlements().cpu_per_service.unit

services.delete_service_publication(made.id, force=True)
services.delete_service(made.id)
refused = []
for attempt in (
    lambda: services.get_service(made.id), lambda: services.get_service("nothing"), lambda: managed.build_managed_service(made.id),
    lambda: client.service_jobs.create_service_job(service_id=made.id),
    lambda: managed.create_managed_service(name="///", source=ServiceSourceFile(type="file")),
):
    try:
        attempt()
        refused.append("nothing")
    except Exception as e:
        refused.append(getattr(e, "status_code", repr(e)))
report["refused"] = refused
json.dump(report, sys.stdout)
