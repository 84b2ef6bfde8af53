"""Uses data pools with the published clients, unchanged, and prints what they make of the answers as JSON."""

import io
import json
import os
import sys
import time

from qhub.api.platform import TenantId_Organization
from qhub.api.platform.client import HubPlatformClient
from qhub.service.client import HubServiceClient, _parse_jwt_expiry

url, organization = sys.argv[1:]
client = HubPlatformClient(base_url=url + "/qc-catalog/", api_key=os.environ["TEST_TOKEN"])
pools, shares, grants = client.data_pools, client.data_pool_shares, client.data_pool_grants
report = {}

made = pools.create_data_pool(name="Models", short_description="short", description="long", tags=["ML"])
report["made"] = [made.name, made.short_description, made.description, made.tags, made.current_user_permission, bool(made.created_at)]
changed = pools.update_data_pool(made.id, name="Weights", short_description="s", description="d", tags=["A", "b"])
got = pools.get_data_pool(made.id)
report["changed"] = [changed.name, got.description, got.tags]
report["listed"] = [p.name for p in pools.get_data_pools()]

named = pools.add_data_pool_file(made.id, file=b"some bytes", filename="a.bin")
anonymous = pools.add_data_pool_file(made.id, file=b"other bytes")
with_name = pools.add_data_pool_file(made.id, file=("weights.txt", io.BytesIO(b"0.5" * 1000000), "text/plain"))
report["files"] = sorted((f.full_path, f.name, f.content_length) for f in pools.get_data_pool_files(made.id))
report["types"] = [named.content_type, with_name.content_type, with_name.data_pool_id == made.id]
report["downloaded"] = [b"".join(pools.get_data_pool_file(made.id, f.id)) == c for f, c in ((named, b"some bytes"), (with_name, b"0.5" * 1000000))]
pools.delete_data_pool_file(made.id, anonymous.id)
report["left"] = [f.name for f in pools.get_data_pool_files(made.id)]

app = client.applications.create_application(name="app")
grant = grants.create_data_pool_grant(made.id, application_id=app.id, permission="MODIFY")
report["grant"] = [grant.token.count("."), 0 < _parse_jwt_expiry(grant.token) - time.time() <= 600]

share = shares.share_data_pool(made.id, shared_with=TenantId_Organization(tenant_type="ORGANIZATION", value=organization), role="VIEWER")
share = shares.update_data_pool_share_role(made.id, share.id, role="MAINTAINER")
constraint = shares.add_data_pool_share_constraint(made.id, share.id, valid_from="2020-01-01 00:00:00", valid_until="2999-01-01 00:00:00", type="TIME_BASED")
listed = shares.get_shares_for_data_pool(made.id)
report["shares"] = [listed[0].role, listed[0].active, listed[0].constraints[0].valid_until, constraint.type]
shares.delete_data_pool_share_constraint(made.id, share.id, constraint.id)
shares.delete_data_pool_share(made.id, share.id)
report["unshared"] = len(shares.get_shares_for_data_pool(made.id))

pools.delete_data_pool(made.id)
refused = []
for attempt in (
    lambda: pools.get_data_pool(made.id), lambda: pools.get_data_pool_files("nothing"), lambda: pools.create_data_pool(name="x"),
    lambda: b"".join(pools.get_data_pool_file(made.id, named.id)), lambda: grants.create_data_pool_grant(made.id, application_id=app.id, permission="VIEW"),
):
    try:
        attempt()
        refused.append("nothing")
    except Exception as e:
        refused.append(getattr(e, "status_code", repr(e)))
report["refused"] = refused
json.dump(report, sys.stdout)
