package sqlite

// The queries are standard SQL, or close enough to be shared with another
// engine: parameters are $N, upserts and RETURNING have their common form.
// The words status = 'PENDING' AND owner IS NULL stand in full in each query that
// must use the partial index on waiting executions.

// The columns of an execution, in the order of executionRow. Lists leave out
// the two large ones.
const (
	listColumns = `id, service_id, service_revision, status, type, created_at, started_at, ended_at,
	tags, service_definition_id, application_id, tenant_id, parent_id, person_id, cancel_requested`
	allColumns = listColumns + `, problem, result`
	// returningAll makes a change return the whole new row.
	returningAll = ` RETURNING ` + allColumns
)

const (
	selectExecution = `SELECT ` + allColumns + ` FROM executions WHERE id = $1`

	selectBySeq = `SELECT ` + allColumns + ` FROM executions WHERE seq = $1`

	selectState = `SELECT seq, status, owner FROM executions WHERE id = $1`

	insertExecution = `INSERT INTO executions
	(id, service_id, service_revision, status, type, created_at, tags,
	 service_definition_id, application_id, tenant_id, parent_id, person_id, owner, lease_expires_at)
	VALUES ($1, $2, $3, 'PENDING', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
	ON CONFLICT (id) DO NOTHING
	RETURNING seq`

	insertRequest = `INSERT INTO execution_requests (execution_seq, payload) VALUES ($1, $2)`

	insertSecrets = `INSERT INTO execution_secrets (execution_seq, sealed) VALUES ($1, $2)`

	insertTag = `INSERT INTO execution_tags (service_id, tag, execution_seq, tenant_id, created_at) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT DO NOTHING`

	insertIdempotencyKey = `INSERT INTO idempotency_keys (service_id, idempotency_key, mac, execution_seq)
	VALUES ($1, $2, $3, $4)`

	selectIdempotencyKey = `SELECT execution_seq, mac FROM idempotency_keys
	WHERE service_id = $1 AND idempotency_key = $2`
)

const (
	selectServiceLoad = `SELECT waiting, active FROM service_load WHERE service_id = $1`

	selectTotalWaiting = `SELECT CAST(coalesce(sum(waiting), 0) AS BIGINT) FROM service_load`

	selectLoads = `SELECT service_id, waiting, active FROM service_load WHERE waiting > 0 OR active > 0`

	selectWaiting = `SELECT seq FROM executions
	WHERE service_id = $1 AND status = 'PENDING' AND owner IS NULL
	ORDER BY seq LIMIT $2`

	updateClaim = `UPDATE executions SET owner = $1, lease_expires_at = $2
	WHERE seq = $3 AND status = 'PENDING' AND owner IS NULL
	RETURNING ` + allColumns + `,
	(SELECT CASE WHEN length(payload) <= $4 THEN payload END FROM execution_requests WHERE execution_seq = seq),
	(SELECT length(payload) FROM execution_requests WHERE execution_seq = seq),
	(SELECT sealed FROM execution_secrets WHERE execution_seq = seq)`

	updateStart = `UPDATE executions SET status = 'RUNNING', started_at = $1
	WHERE id = $2 AND owner = $3 AND status = 'PENDING'`

	updateLease = `UPDATE executions SET lease_expires_at = $1
	WHERE id = $2 AND owner = $3
	RETURNING cancel_requested`

	updateEnd = `UPDATE executions
	SET status = $1, ended_at = $2, problem = $3, result = $4, owner = NULL, lease_expires_at = NULL
	WHERE seq = $5`

	// updateFinish is updateEnd for an execution that runs.
	updateFinish = `UPDATE executions
	SET status = $1, ended_at = $2, problem = $3, result = $4, owner = NULL, lease_expires_at = NULL
	WHERE id = $5 AND owner = $6 AND status = 'RUNNING'`

	// returningEnd makes a change to a final state return an endRow.
	returningEnd = ` RETURNING cancel_requested, seq,
	(SELECT waiting FROM service_load WHERE service_load.service_id = executions.service_id)`

	updateCancelRequested = `UPDATE executions SET cancel_requested = 1 WHERE seq = $1`

	// updateClaimed makes each claimed execution count as started; see noteBoot.
	updateClaimed = `UPDATE executions SET status = 'RUNNING', started_at = created_at
	WHERE status = 'PENDING' AND owner IS NOT NULL`

	selectBoot = `SELECT boot FROM machine`

	selectAudit      = `SELECT number, entry, hash FROM audit WHERE tenant_id = $1 AND number > $2 ORDER BY number LIMIT $3`
	selectAuditHead  = `SELECT number, hash FROM audit WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1`
	selectAuditHash  = `SELECT hash FROM audit WHERE tenant_id = $1 AND number = $2`
	selectAnyDueHead = `SELECT NOT EXISTS (SELECT 1 FROM audit_heads WHERE anchored <> number)`
	deleteAudit      = `DELETE FROM audit WHERE tenant_id = $1 AND number <= $2`
	insertAudit      = `INSERT INTO audit (tenant_id, number, entry, hash) VALUES ($1, $2, $3, $4)`

	vacuumInto = `VACUUM INTO $1`
	quickCheck = `PRAGMA quick_check(1)`

	upsertBoot = `INSERT INTO machine (only, boot) VALUES (1, $1)
	ON CONFLICT (only) DO UPDATE SET boot = excluded.boot`

	updateRelease = `UPDATE executions SET owner = NULL, lease_expires_at = NULL
	WHERE id = $1 AND owner = $2 AND status = 'PENDING'`

	selectExpiredLeases = `SELECT seq, id, status, owner FROM executions
	WHERE owner IS NOT NULL AND lease_expires_at < $1 AND owner <> $2
	ORDER BY lease_expires_at LIMIT $3`

	deleteSecrets = `DELETE FROM execution_secrets WHERE execution_seq = $1`
)

const (
	selectRequest = `SELECT r.payload FROM executions e
	LEFT JOIN execution_requests r ON r.execution_seq = e.seq
	WHERE e.id = $1`

	// Pages are read oldest first and reversed by the caller. In that direction
	// SQLite finds the next row beside the last one, for a table of any size; in
	// the other it searches for each row from the root.
	selectPage = `SELECT seq, ` + listColumns + ` FROM executions
	WHERE seq IN (
		SELECT seq FROM executions
		WHERE service_id = $1 AND seq < $2
		ORDER BY seq DESC LIMIT $3)
	ORDER BY seq`

	selectPageByTag = `SELECT seq, ` + listColumns + ` FROM executions
	WHERE seq IN (
		SELECT execution_seq FROM execution_tags
		WHERE service_id = $1 AND tag = $4 AND execution_seq < $2
		ORDER BY execution_seq DESC LIMIT $3)
	ORDER BY seq`

	// selectPageOfCaller is selectPage for what one caller has started.
	selectPageOfCaller = `SELECT seq, ` + listColumns + ` FROM executions
	WHERE seq IN (
		SELECT seq FROM executions
		WHERE service_id = $1 AND seq < $2 AND tenant_id = $4 AND tenant_id <> '' AND application_id = $5 AND ($6 = '' OR parent_id = $6)
			AND ($7 = '' OR seq IN (SELECT execution_seq FROM execution_tags WHERE service_id = $1 AND tag = $7))
		ORDER BY seq DESC LIMIT $3)
	ORDER BY seq`

	selectSeq = `SELECT seq FROM executions WHERE id = $1`

	selectLastLog = `SELECT seq, (SELECT coalesce(max(last), 0) FROM execution_log_parts WHERE execution_seq = seq) FROM executions WHERE id = $1`

	insertLog = `INSERT INTO execution_log_parts (execution_seq, last, lines, text) VALUES ($1, $2, $3, $4)`

	selectLog = `SELECT l.last, l.lines, l.text
	FROM executions e JOIN execution_log_parts l ON l.execution_seq = e.seq
	WHERE e.id = $1 AND l.last > $2
	ORDER BY l.last`

	selectEnded = `SELECT id FROM executions
	WHERE ended_at IS NOT NULL AND ended_at < $1
	ORDER BY ended_at LIMIT $2`

	deleteExecution = `DELETE FROM executions WHERE id = $1 AND ended_at IS NOT NULL`

	selectSecretsFrom = `SELECT s.execution_seq, e.id, s.sealed
	FROM execution_secrets s JOIN executions e ON e.seq = s.execution_seq
	WHERE s.execution_seq > $1
	ORDER BY s.execution_seq LIMIT $2`

	updateSecrets = `UPDATE execution_secrets SET sealed = $1 WHERE execution_seq = $2`
)

// The queries of [Adopt]. The other database is attached as source.
const (
	attachSource       = `ATTACH DATABASE $1 AS source`
	countLeased        = `SELECT count(*) FROM source.executions WHERE owner IS NOT NULL AND lease_expires_at > $1`
	countKnown         = `SELECT count(*) FROM main.executions WHERE id IN (SELECT id FROM source.executions)`
	countSource        = `SELECT count(*) FROM source.executions`
	countSourceWaiting = `SELECT count(*) FROM source.executions WHERE status = 'PENDING'`
	selectLastSeq      = `SELECT coalesce(max(seq), 0) FROM main.executions`
	selectSourceIDs    = `SELECT id FROM source.executions ORDER BY seq`

	adoptExecutions = `INSERT INTO main.executions
	(seq, id, service_id, service_revision, status, type, created_at, started_at, ended_at, tags,
	 service_definition_id, application_id, cancel_requested, problem, result, owner, lease_expires_at, tenant_id)
	SELECT $1 + seq, id, $2, $3, status, type, created_at, started_at, ended_at, tags,
	 service_definition_id, '', cancel_requested, problem, result, owner, lease_expires_at, $4 FROM source.executions`

	adoptRequests = `INSERT INTO main.execution_requests (execution_seq, payload)
	SELECT $1 + execution_seq, payload FROM source.execution_requests`

	adoptTags = `INSERT INTO main.execution_tags (service_id, tag, execution_seq, tenant_id, created_at)
	SELECT $2, t.tag, $1 + t.execution_seq, $3, e.created_at
	FROM source.execution_tags t JOIN source.executions e ON e.seq = t.execution_seq`

	adoptLogs = `INSERT INTO main.execution_log_parts (execution_seq, last, lines, text)
	SELECT $1 + execution_seq, last, lines, text FROM source.execution_log_parts`

	selectSourceSecrets = `SELECT s.execution_seq, e.id, s.sealed
	FROM source.execution_secrets s JOIN source.executions e ON e.seq = s.execution_seq`

	insertAdoptedSecrets = `INSERT INTO main.execution_secrets (execution_seq, sealed) VALUES ($1, $2)`
)
