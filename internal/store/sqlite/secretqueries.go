package sqlite

// The queries about the secrets of services.

const (
	// The pins of an execution go with its end.
	isPinned = `EXISTS (SELECT 1 FROM execution_secret_pins p WHERE p.version_seq = v.seq)`

	// A version x is live at $1.
	isLive = `x.destroyed_at = 0 AND (x.kept_until = 0 OR x.kept_until > $1) AND (x.expires_at = 0 OR x.expires_at > $1)`

	secretColumns = `s.kind, s.tenant_id, s.service_id, s.subscription_id, s.application_id, s.holder, s.name`

	versionValues = `v.number, v.set_by, v.set_at, v.expires_at, v.kept_until, v.destroyed_at, v.used_at, v.used_by, v.reference`

	// Of live secrets, at $1.
	selectSecret = `SELECT s.seq, s.override, s.created_at, s.used_at,
	coalesce((SELECT max(x.number) FROM secret_versions x WHERE x.secret_seq = s.seq AND ` + isLive + `), 0),
	` + secretColumns + `, ` + versionValues + ` FROM secrets s JOIN secret_versions v ON v.seq = s.newest WHERE s.removed = 0`

	atPlace = ` AND s.service_id = $2 AND s.subscription_id = $3 AND s.tenant_id = $4 AND s.name = $5 AND s.holder = ''`

	selectSecretAt = selectSecret + atPlace

	// $3 to $8 are conditions unless they are empty, or 0.
	matchesQuery = ` AND s.tenant_id = $2 AND ($3 = '' OR s.kind = $3) AND ($4 = '' OR s.service_id = $4) AND ($5 = '' OR s.application_id = $5)
	AND (CAST($6 AS BIGINT) = 0 OR s.expires_at > 0 AND s.expires_at < $6)
	AND ($7 = 0 OR s.kind = 'TENANT' AND NOT EXISTS (SELECT 1 FROM secret_bindings b WHERE b.secret_seq = s.seq))
	AND ($8 = '' OR s.seq IN (SELECT b.secret_seq FROM secret_bindings b WHERE b.service_id = $8))`

	selectSecrets = selectSecret + matchesQuery + ` ORDER BY s.kind, s.service_id, s.application_id, s.holder, s.name LIMIT $9 OFFSET $10`

	// It has the same parameters.
	countSecretsOf = `SELECT count(*) FROM secrets s WHERE s.removed = 0 AND CAST($1 AS BIGINT) > 0` + matchesQuery

	// Those in environments and of providers have other bounds.
	countSecrets = `SELECT count(*) FROM secrets WHERE tenant_id = $1 AND removed = 0 AND holder = ''`

	countSecretsOfService = `SELECT count(*) FROM secrets WHERE service_id = $1 AND subscription_id = $2 AND removed = 0 AND holder = ''`

	selectSecretSeq = `SELECT seq FROM secrets
	WHERE removed = 0 AND service_id = $1 AND subscription_id = $2 AND tenant_id = $3 AND name = $4 AND holder = $5`

	insertSecret = `INSERT INTO secrets (kind, tenant_id, service_id, subscription_id, application_id, holder, name, override, created_at, used_at, newest, expires_at, removed)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, 0) RETURNING seq`

	// A subscription or a service may be gone.
	countSubscription = `SELECT count(*) FROM subscriptions WHERE id = $1 AND application_id = $2 AND service_id = $3`
	countService      = `SELECT count(*) FROM services WHERE id = $1`
	countVersion      = `SELECT count(*) FROM service_versions WHERE id = $1 AND service_id = $2`

	selectSecretVersions = `SELECT ` + versionValues + ` FROM secret_versions v WHERE v.secret_seq = $1 ORDER BY v.number DESC LIMIT $2`

	selectLastNumber = `SELECT coalesce(max(number), 0) FROM secret_versions WHERE secret_seq = $1`

	countUndestroyed = `SELECT count(*) FROM secret_versions WHERE secret_seq = $1 AND destroyed_at = 0`

	insertSecretVersion = `INSERT INTO secret_versions (secret_seq, id, number, set_by, set_at, expires_at, kept_until, destroyed_at, used_at, used_by, sealed, reference)
	VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, '', $7, $8) RETURNING seq`

	replaceVersions = `UPDATE secret_versions SET kept_until = $1 WHERE secret_seq = $2 AND kept_until = 0 AND destroyed_at = 0`

	updateNewest = `UPDATE secrets SET newest = $1, expires_at = $2, override = CASE WHEN $3 = '' THEN override ELSE $3 END WHERE seq = $4`

	updateOverride = `UPDATE secrets SET override = $1 WHERE seq = $2`

	removeSecret = `UPDATE secrets SET removed = 1 WHERE seq = $1`

	// The time must not be after the one at which it stops to count anyway.
	endVersion = `UPDATE secret_versions SET kept_until = CASE WHEN kept_until > 0 AND kept_until < $1 THEN kept_until ELSE $1 END
	WHERE secret_seq = $2 AND number = $3 AND destroyed_at = 0`

	// Versions that count no more at $1.
	isOver = `v.destroyed_at = 0 AND (v.kept_until > 0 AND v.kept_until <= $1 OR v.expires_at > 0 AND v.expires_at <= $1)`

	destroy = `UPDATE secret_versions AS v SET sealed = NULL, destroyed_at = $1 WHERE NOT ` + isPinned + ` AND `

	destroyOverOf = destroy + `v.secret_seq = $2 AND (` + isOver + `)`

	destroyAllOf = destroy + `v.secret_seq = $2 AND v.destroyed_at = 0`

	destroyKept = destroy + `v.destroyed_at = 0 AND v.kept_until > 0 AND v.kept_until <= $1`

	destroyExpired = destroy + `v.destroyed_at = 0 AND v.expires_at > 0 AND v.expires_at <= $1`

	destroyRemoved = destroy + `v.destroyed_at = 0 AND v.secret_seq IN (SELECT seq FROM secrets WHERE removed = 1)`

	deleteOldVersions = `DELETE FROM secret_versions WHERE secret_seq = $1 AND destroyed_at > 0 AND number <= $2`

	deleteRemovedSecrets = `DELETE FROM secrets WHERE removed = 1
	AND NOT EXISTS (SELECT 1 FROM secret_versions v WHERE v.secret_seq = secrets.seq AND v.destroyed_at = 0)`

	insertPins = `INSERT INTO execution_secret_pins (version_seq, execution_seq)
	SELECT v.seq, $1 FROM json_each($2) j JOIN secret_versions v ON v.seq = CAST(j.value AS BIGINT) WHERE v.destroyed_at = 0`

	selectPinned = `SELECT EXISTS (SELECT 1 FROM execution_secret_pins)`

	deletePins = `DELETE FROM execution_secret_pins WHERE execution_seq = $1`

	// A parameter has one binding: it moves.
	upsertBinding = `INSERT INTO secret_bindings (service_id, parameter, secret_seq) VALUES ($1, $2, $3)
	ON CONFLICT (service_id, parameter) DO UPDATE SET secret_seq = excluded.secret_seq`

	countBindings = `SELECT count(*) FROM secret_bindings WHERE secret_seq = $1`

	deleteBinding = `DELETE FROM secret_bindings WHERE service_id = $1 AND parameter = $2 AND secret_seq = $3`

	deleteBindings = `DELETE FROM secret_bindings WHERE secret_seq = $1`

	selectBindings = `SELECT secret_seq, service_id, parameter FROM secret_bindings
	WHERE secret_seq IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY service_id, parameter`

	newestLive = `JOIN secret_versions v ON v.seq = (SELECT max(x.seq) FROM secret_versions x WHERE x.secret_seq = s.seq AND ` + isLive + `)`

	// For the service $2 and the application $3. Tenants give their secrets to their own
	// services only.
	selectCandidates = `SELECT s.name, s.override, v.seq, v.number, v.expires_at, v.kept_until, ` + secretColumns + ` FROM secrets s ` + newestLive + `
	WHERE s.removed = 0 AND s.holder = '' AND s.service_id = $2
	AND s.subscription_id IN ('', (SELECT id FROM subscriptions WHERE application_id = $3 AND service_id = $2))
	UNION ALL
	SELECT b.parameter, s.override, v.seq, v.number, v.expires_at, v.kept_until, ` + secretColumns + ` FROM secret_bindings b
	JOIN services o ON o.id = b.service_id
	JOIN secrets s ON s.seq = b.secret_seq AND s.tenant_id = o.tenant_id ` + newestLive + `
	WHERE b.service_id = $2 AND s.removed = 0 AND s.holder = ''`

	selectSealedVersions = `SELECT v.seq, v.id, v.number, v.sealed, ` + secretColumns + ` FROM json_each($1) j
	JOIN secret_versions v ON v.seq = CAST(j.value AS BIGINT) JOIN secrets s ON s.seq = v.secret_seq WHERE v.destroyed_at = 0`

	updateVersionUsed = `UPDATE secret_versions SET used_at = $1, used_by = $2 WHERE seq = $3 AND used_at < $1`

	updateSecretUsed = `UPDATE secrets SET used_at = $1 WHERE seq = (SELECT secret_seq FROM secret_versions WHERE seq = $2) AND used_at < $1`

	// The name is that of the row, for its owner. No part of it has a slash; a secret has a
	// subscription or a holder.
	selectSecretVersionsFrom = `SELECT v.seq, s.kind || '/' || s.tenant_id || '/' || s.service_id || '/' || s.subscription_id || s.holder || '/' || s.name || '/' || v.id, v.sealed
	FROM secret_versions v JOIN secrets s ON s.seq = v.secret_seq WHERE v.seq > $1 AND v.destroyed_at = 0 ORDER BY v.seq LIMIT $2`

	updateSecretVersionSealed = `UPDATE secret_versions SET sealed = $1 WHERE seq = $2`
)
