package sqlite

// The queries about callers of a platform. In conditions such as $1 IN ('', x), an
// empty parameter means any.

const tenantColumns = `t.id, t.kind, t.name, t.display_name, t.description, t.email, t.created_at`

const (
	insertTenant = `INSERT INTO tenants (id, kind, name, display_name, description, email, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`

	selectTenant = `SELECT ` + tenantColumns + ` FROM tenants t WHERE t.id = $1`

	selectTenantByName = `SELECT ` + tenantColumns + ` FROM tenants t WHERE t.kind = $1 AND t.name = $2`

	updateOrganization = `UPDATE tenants SET display_name = $1, description = $2
	WHERE id = $3 AND kind = 'ORGANIZATION'`

	deleteOrganization = `DELETE FROM tenants WHERE id = $1 AND kind = 'ORGANIZATION'`

	upsertMember = `INSERT INTO members (organization_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
	ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role`

	selectMemberships = `SELECT ` + tenantColumns + `, m.role FROM members m JOIN tenants t ON t.id = m.organization_id
	WHERE m.user_id = $1 ORDER BY t.name`

	selectMembers = `SELECT ` + tenantColumns + `, m.role, m.created_at FROM members m JOIN tenants t ON t.id = m.user_id
	WHERE m.organization_id = $1 ORDER BY t.name`

	selectRole = `SELECT role FROM members WHERE organization_id = $1 AND user_id = $2`

	updateRole = `UPDATE members SET role = $1 WHERE organization_id = $2 AND user_id = $3`

	deleteMember = `DELETE FROM members WHERE organization_id = $1 AND user_id = $2`

	countOwners = `SELECT count(*) FROM members WHERE organization_id = $1 AND role = $2`
)

const (
	insertInvitation = `INSERT INTO invitations
	(id, organization_id, invitee_id, inviter_id, role, status, digest, created_at, expires_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`

	invitationsJoined = `SELECT i.id, i.invitee_id, i.role, i.status, i.created_at, i.expires_at, ` + tenantColumns + `,
	u.id, u.kind, u.name, u.display_name, u.description, u.email, u.created_at
	FROM invitations i JOIN tenants t ON t.id = i.organization_id JOIN tenants u ON u.id = i.inviter_id `

	selectInvitations = invitationsJoined + `WHERE $1 IN ('', i.organization_id) AND $2 IN ('', i.invitee_id)
	ORDER BY i.created_at DESC, i.id`

	selectInvitation = invitationsJoined + `WHERE i.id = $1 AND i.invitee_id = $2`

	selectInvitationByDigest = invitationsJoined + `WHERE i.digest = $1`

	// The token of an invitation works once.
	updateInvitation = `UPDATE invitations SET status = $1, digest = NULL WHERE id = $2`

	deleteInvitation = `DELETE FROM invitations WHERE organization_id = $1 AND id = $2`
)

const (
	tokenColumns = `id, user_id, name, prefix, scopes, created_at, used_at, expires_at, digest`

	insertToken = `INSERT INTO tokens (id, user_id, name, prefix, scopes, digest, created_at, used_at, expires_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) ON CONFLICT DO NOTHING`

	selectTokens = `SELECT ` + tokenColumns + ` FROM tokens WHERE user_id = $1 ORDER BY created_at DESC, id`

	selectTokenByDigest = `SELECT ` + tokenColumns + ` FROM tokens WHERE digest = $1`

	deleteToken = `DELETE FROM tokens WHERE user_id = $1 AND id = $2`

	updateTokenUsed = `UPDATE tokens SET used_at = $1 WHERE id = $2 AND used_at < $1`

	updateAccessKeyUsed = `UPDATE access_keys SET used_at = $1 WHERE id = $2 AND used_at < $1`
)

const (
	insertApplication = `INSERT INTO applications (id, tenant_id, name, created_at)
	VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`

	selectApplications = `SELECT id, tenant_id, name, created_at FROM applications WHERE tenant_id = $1 ORDER BY name`

	selectApplication = `SELECT id, tenant_id, name, created_at FROM applications WHERE tenant_id = $1 AND id = $2`

	selectApplicationID = `SELECT id FROM applications WHERE tenant_id = $1 AND id = $2`

	deleteApplication = `DELETE FROM applications WHERE tenant_id = $1 AND id = $2`
)

const (
	accessKeysJoined = `SELECT k.id, k.application_id, a.tenant_id, k.digest, k.sealed, k.reveal_until,
	k.created_at, k.used_at, k.expires_at
	FROM access_keys k JOIN applications a ON a.id = k.application_id `

	insertAccessKey = `INSERT INTO access_keys
	(id, application_id, digest, sealed, reveal_until, created_at, used_at, expires_at)
	VALUES ($1, $2, $3, $4, $5, $6, 0, $7) ON CONFLICT DO NOTHING`

	selectAccessKeys = accessKeysJoined + `WHERE a.tenant_id = $1 AND a.id = $2
	AND (k.expires_at = 0 OR k.expires_at > $3) ORDER BY k.seq DESC`

	selectAccessKey = accessKeysJoined + `WHERE k.id = $1`

	countAccessKeys = `SELECT count(*) FROM access_keys WHERE application_id = $1 AND (expires_at = 0 OR expires_at > $2)`

	expireAccessKey = `UPDATE access_keys
	SET expires_at = CASE WHEN expires_at = 0 OR expires_at > $1 THEN $1 ELSE expires_at END
	WHERE id = $2 AND application_id = $3 AND (expires_at = 0 OR expires_at > $4)`

	deleteAccessKey = `DELETE FROM access_keys WHERE id = $3
	AND application_id IN (SELECT id FROM applications WHERE tenant_id = $1 AND id = $2)`

	hideAccessKeys = `UPDATE access_keys SET sealed = NULL WHERE sealed IS NOT NULL AND reveal_until <= $1`

	deleteExpiredAccessKeys = `DELETE FROM access_keys WHERE expires_at <> 0 AND expires_at <= $1`

	selectAccessKeysFrom = `SELECT seq, id, sealed FROM access_keys
	WHERE seq > $1 AND sealed IS NOT NULL ORDER BY seq LIMIT $2`

	updateAccessKeySealed = `UPDATE access_keys SET sealed = $1 WHERE seq = $2`
)

const (
	insertSubscription = `INSERT INTO subscriptions (id, application_id, service_id, created_at)
	VALUES ($1, $2, $3, $4) ON CONFLICT (application_id, service_id) DO NOTHING`

	selectSubscription = `SELECT id, created_at FROM subscriptions WHERE application_id = $1 AND service_id = $2`

	subscriptionsWhere = ` WHERE $1 IN ('', a.tenant_id) AND $2 IN ('', s.id)
	AND $3 IN ('', s.application_id) AND $4 IN ('', s.service_id)`

	subscriptionsJoined = ` FROM subscriptions s JOIN applications a ON a.id = s.application_id`

	selectSubscriptions = `SELECT a.id, a.tenant_id, a.name, a.created_at, s.id, s.service_id, s.created_at` +
		subscriptionsJoined + subscriptionsWhere + ` ORDER BY s.created_at DESC, s.id`

	countSubscriptions = `SELECT count(*) FROM subscriptions WHERE application_id = $1 AND service_id = $2`

	deleteSubscriptions = `DELETE FROM subscriptions WHERE id IN (SELECT s.id` +
		subscriptionsJoined + subscriptionsWhere + `)`
)

const (
	selectSigningKeys = `SELECT id, public, sealed, created_at FROM signing_keys ORDER BY seq DESC`

	selectNewestSigningKey = `SELECT max(created_at) FROM signing_keys`

	insertSigningKey = `INSERT INTO signing_keys (id, public, sealed, created_at) VALUES ($1, $2, $3, $4)`

	deleteSigningKeys = `DELETE FROM signing_keys
	WHERE seq NOT IN (SELECT seq FROM signing_keys ORDER BY seq DESC LIMIT 2)`

	selectSigningKeysFrom = `SELECT seq, id, sealed FROM signing_keys WHERE seq > $1 ORDER BY seq LIMIT $2`

	updateSigningKeySealed = `UPDATE signing_keys SET sealed = $1 WHERE seq = $2`
)
