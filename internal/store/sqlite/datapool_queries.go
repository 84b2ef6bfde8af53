package sqlite

// The queries about data pools.

const (
	poolColumns = `p.id, p.tenant_id, p.name, p.short_description, p.description, p.tags, p.created_at`

	insertPool = `INSERT INTO datapools (id, tenant_id, name, short_description, description, tags, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`

	countPools = `SELECT count(*) FROM datapools WHERE tenant_id = $1`

	selectPool = `SELECT ` + poolColumns + `, '' FROM datapools p WHERE p.id = $1`

	// Of a tenant $1 at $2. A tenant has no share in its own pool.
	reachablePools = `SELECT ` + poolColumns + `, '' AS role FROM datapools p WHERE p.tenant_id = $1
	UNION ALL
	SELECT ` + poolColumns + `, s.role FROM datapool_shares s JOIN datapools p ON p.id = s.datapool_id
	WHERE s.tenant_id = $1 AND s.valid_from <= $2 AND (s.valid_until = 0 OR s.valid_until > $2)`

	selectReachable = `SELECT * FROM (` + reachablePools + `) AS reachable WHERE id = $3`

	selectPools = `SELECT * FROM (` + reachablePools + `) AS reachable ORDER BY name, id LIMIT $3 OFFSET $4`

	countReachable = `SELECT count(*) FROM (` + reachablePools + `) AS reachable`

	updatePool = `UPDATE datapools SET name = $1, short_description = $2, description = $3, tags = $4 WHERE id = $5
	AND NOT EXISTS (SELECT 1 FROM datapools o WHERE o.tenant_id = datapools.tenant_id AND o.name = $1 AND o.id <> $5)`

	deletePool = `DELETE FROM datapools WHERE id = $1`

	fileColumns = `id, datapool_id, name, content_type, size, sha256, blob, version, created_at`

	upsertFile = `INSERT INTO datapool_files (` + fileColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8)
	ON CONFLICT (datapool_id, name) DO UPDATE SET content_type = excluded.content_type, size = excluded.size,
	sha256 = excluded.sha256, blob = excluded.blob, version = datapool_files.version + 1, created_at = excluded.created_at`

	selectFile = `SELECT ` + fileColumns + ` FROM datapool_files WHERE datapool_id = $1 AND id = $2`

	selectFileNamed = `SELECT ` + fileColumns + ` FROM datapool_files WHERE datapool_id = $1 AND name = $2`

	selectFiles = `SELECT ` + fileColumns + ` FROM datapool_files WHERE datapool_id = $1 ORDER BY name`

	// One file in a folder $2, whose name ends with a slash; "0" follows the slash.
	selectFileIn = `SELECT count(*) FROM datapool_files WHERE datapool_id = $1 AND name > $2 AND name < $3`

	countFiles = `SELECT count(*) FROM datapool_files WHERE datapool_id = $1`

	deleteFile = `DELETE FROM datapool_files WHERE id = $1`

	countBlob = `SELECT count(*) FROM datapool_files WHERE blob = $1`

	uploadColumns = `id, datapool_id, name, content_type, size, sha256, file_id, created_at, expires_at`

	insertUpload = `INSERT INTO datapool_uploads (` + uploadColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`

	// A checksum makes an upload recognizable.
	selectSameUpload = `SELECT ` + uploadColumns + ` FROM datapool_uploads
	WHERE datapool_id = $1 AND name = $2 AND size = $3 AND sha256 = $4 AND sha256 <> '' AND file_id = '' LIMIT 1`

	countUploads = `SELECT count(*) FROM datapool_uploads WHERE datapool_id = $1 AND file_id = ''`

	selectUpload = `SELECT ` + uploadColumns + ` FROM datapool_uploads WHERE datapool_id = $1 AND id = $2`

	countUpload = `SELECT count(*) FROM datapool_uploads WHERE id = $1`

	completeUpload = `UPDATE datapool_uploads SET file_id = $1 WHERE id = $2 AND datapool_id = $3 AND file_id = ''`

	deleteUpload = `DELETE FROM datapool_uploads WHERE datapool_id = $1 AND id = $2`

	expireUploads = `DELETE FROM datapool_uploads WHERE expires_at <= $1`

	shareColumns = `id, datapool_id, tenant_id, tenant_kind, role, valid_from, valid_until, created_at`

	upsertShare = `INSERT INTO datapool_shares (` + shareColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
	ON CONFLICT (datapool_id, tenant_id) DO UPDATE SET role = excluded.role,
	valid_from = CASE WHEN excluded.valid_from + excluded.valid_until > 0 THEN excluded.valid_from ELSE datapool_shares.valid_from END,
	valid_until = CASE WHEN excluded.valid_from + excluded.valid_until > 0 THEN excluded.valid_until ELSE datapool_shares.valid_until END`

	selectShareOf = `SELECT ` + shareColumns + ` FROM datapool_shares WHERE datapool_id = $1 AND tenant_id = $2`

	selectShare = `SELECT ` + shareColumns + ` FROM datapool_shares WHERE datapool_id = $1 AND id = $2`

	selectShares = `SELECT ` + shareColumns + ` FROM datapool_shares WHERE datapool_id = $1 ORDER BY created_at, id`

	updateShare = `UPDATE datapool_shares SET role = $1, valid_from = $2, valid_until = $3 WHERE id = $4`

	deleteShare = `DELETE FROM datapool_shares WHERE datapool_id = $1 AND id = $2`
)
