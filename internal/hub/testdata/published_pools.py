"""Calls services with data pools by the published clients: published_pools.py URL SERVICE-ID.

The personal access token comes by TEST_TOKEN."""

import json
import os
import sys
import time

from qhub.service.client import HubPlatformClient, HubServiceClient
from qhub.service.datapool import DataPoolGrant, DataPoolPermission

from qhub.api.platform.client import HubPlatformClient as Platform

url, service_id = sys.argv[1:]
client = Platform(base_url=url + "/qc-catalog/", api_key=os.environ["TEST_TOKEN"])
report = {}
pool = client.data_pools.create_data_pool(name="weights")
client.data_pools.add_data_pool_file(pool.id, file=b"0.5", filename="weights.txt")
other = client.data_pools.create_data_pool(name="other")

app = client.applications.create_application(name="caller")
key = client.applications.get_application_access_keys(app.id)[0]
subscription = client.subscriptions.create_subscription(service_id=service_id, application_id=app.id)
service = HubServiceClient(
    subscription.service.gateway_endpoint, key.access_key_id, key.secret_access_key, token_endpoint=url + "/token",
    platform_client=HubPlatformClient(api_key=os.environ["TEST_TOKEN"], platform_endpoint=url + "/qc-catalog"),
)


def run(request, permission=None):
    options = {} if permission is None else {"permission": permission}
    execution = service.run(request, grants=[DataPoolGrant(name="models", datapool_id=pool.id, application_id=app.id, **options)])
    execution.wait_for_final_state(timeout=60, wait=0.1)
    return execution.status, execution.result().data()


report["default"] = run({})  # MODIFY, of which the service makes no use
report["version"] = client.data_pools.get_data_pool_files(pool.id)[0].version
report["modified"] = run({"write": "from the client"})
report["pool"] = sorted((f.full_path, f.version) for f in client.data_pools.get_data_pool_files(pool.id))
report["viewed"] = run({}, DataPoolPermission.VIEW)
report["child"] = run({"endpoint": subscription.service.gateway_endpoint, "catalog": url + "/qc-catalog", "pool": pool.id, "other": other.id}, DataPoolPermission.VIEW)

job = client.service_jobs.create_service_job(service_id=service_id, input={"models": {"id": pool.id, "ref": "DATAPOOL"}})
executions = client.service_executions
while executions.get_service_execution(job.id).status not in ("SUCCEEDED", "FAILED"):
    time.sleep(0.1)
report["job"] = executions.get_service_execution_result(job.id)["files"]
try:
    service.run({"models": {"id": pool.id, "ref": "DATAPOOL"}})
except Exception as e:
    report["refused"] = [e.status_code, "needs a grant" in str(e.body)]
json.dump(report, sys.stdout)
