"""Calls every method of the published client and prints what they return: published_client.py URL FOLDER."""

import json
import os
import sys

from qhub.service.client import HubServiceClient

url, folder = sys.argv[1:]
client = HubServiceClient(url, None, None)
secret = os.environ["TEST_SECRET"]


def start(action, **more):
    return client.run(request={"data": {"action": action, **more}}, secrets={"api_token": secret}, tags=["published"])


def look(execution):
    return {
        "id": execution.id, "status": str(execution.status), "finished": execution.has_finished,
        "created": execution.created_at, "started": execution.started_at, "ended": execution.ended_at,
    }  # fmt: skip


def whole(action, **more):
    execution = start(action, **more)
    at_once = client.get_service_execution(execution.id)
    execution.wait_for_final_state(timeout=60, wait=0.05)
    result = execution.result()
    metadata = result.metadata()
    return {
        "readableAtOnce": at_once.id == execution.id,
        **look(execution),
        "data": result.data(), "files": result.files(), "resultFiles": execution.result_files(),
        "metadata": metadata and {"id": metadata.id, "status": metadata.status, "tags": metadata.tags},
        "logs": [[entry.message, str(entry.severity)] for entry in execution.logs() or []],
        "logIsNone": execution.logs() is None,
    }  # fmt: skip


report = {name: whole(name) for name in ("echo", "files", "list", "fail", "quiet")}

files = client.get_service_execution(report["files"]["id"])
report["stream"] = b"".join(files.result_file_stream("odd name ä.bin")).hex()
files.download_result_file("plan.txt", folder)
report["streams"] = {
    name: b"".join(files.result_file_stream(name)).decode()
    for name in report["files"]["files"] if name not in ("odd name ä.bin", "plan.txt")
}  # fmt: skip
failed = client.get_service_execution(report["fail"]["id"])
report["streams"]["failed"] = b"".join(failed.result_file_stream("output.json")).decode()

long = start("sleep")
while not long.logs():
    pass
long.cancel()
long.wait_for_final_state(timeout=60, wait=0.05)
report["cancelled"] = {**look(long), "data": long.result().data(), "files": long.result().files()}
long.cancel()

report["all"] = [look(execution) for execution in client.get_service_executions()]
refusals = {"refused": ({"data": {"action": 1}, "what": 2}, {"api_token": secret}), "missing": ({}, None)}
for name, (request, secrets) in refusals.items():
    try:
        client.run(request=request, secrets=secrets)
    except Exception as error:
        report[name] = {"status": error.status_code, "body": error.body}
print(json.dumps(report))
