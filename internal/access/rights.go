package access

import (
	"maps"
	"slices"
	"strings"
)

// A Right is one kind of action.
type Right string

// The rights on the executions of a service, which the Service API asks for.
const (
	// Read looks at executions, their results and logs, and at the description
	// of the service.
	Read Right = "read"
	// Execute starts and cancels executions.
	Execute Right = "execute"
)

// The rights in a tenant, which the platform API asks for.
const (
	// Identify asks who the caller is.
	Identify Right = "identify"
	// ViewTenant looks at the services, applications, subscriptions, data pools and
	// members of the tenant. Secrets are no part of it.
	ViewTenant Right = "tenant:view"
	// Deploy makes, changes, builds and activates services.
	Deploy Right = "services:deploy"
	// DeleteService deletes a service and all its revisions.
	DeleteService Right = "services:delete"
	// Publish publishes a service, or takes it back.
	Publish Right = "services:publish"
	// RunJob runs a service of the tenant as a job, without a subscription.
	RunJob Right = "jobs:run"
	// ManageApplications makes and deletes applications and subscriptions.
	ManageApplications Right = "applications:manage"
	// ManageKeys makes, reads, rotates and revokes access keys.
	ManageKeys Right = "access-keys:manage"
	// ReadPools downloads files of data pools.
	ReadPools Right = "datapools:read"
	// WritePools makes data pools and changes their files.
	WritePools Right = "datapools:write"
	// SharePools deletes data pools and shares them. Executions with it issue grants only.
	SharePools Right = "datapools:share"
	// ViewSecrets lists the names of stored secrets. Nothing gives their values.
	ViewSecrets Right = "secrets:view"
	// ManageSecrets sets, rotates and deletes stored secrets.
	ManageSecrets Right = "secrets:manage"
	// ManageMembers changes an organization, its members and their roles.
	ManageMembers Right = "members:manage"
	// ReadAudit reads the audit log of the tenant.
	ReadAudit Right = "audit:read"
	// ManageTokens makes and revokes the tokens of the caller, makes organizations,
	// and accepts invitations.
	ManageTokens Right = "tokens:manage"
)

// A Role is what a member may do in a tenant. Each role includes those below it:
// VIEWER < MAINTAINER < OWNER. A user is always OWNER of the tenant that it is.
type Role string

// The roles.
const (
	Viewer     Role = "VIEWER"
	Maintainer Role = "MAINTAINER"
	Owner      Role = "OWNER"
)

var ranks = map[Role]int{Viewer: 1, Maintainer: 2, Owner: 3}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return ranks[r] > 0 }

// Includes reports whether r may do all that other may.
func (r Role) Includes(other Role) bool { return r.Valid() && ranks[r] >= ranks[other] }

// A Scope limits what a personal access token may do for its user.
type Scope string

// The scopes.
const (
	// ScopeRead looks at things.
	ScopeRead Scope = "read"
	// ScopeExecute starts and cancels executions and jobs.
	ScopeExecute Scope = "execute"
	// ScopeWrite changes services, applications and data pools.
	ScopeWrite Scope = "write"
	// ScopeAdmin handles access keys, members and tokens.
	ScopeAdmin Scope = "admin"
)

// AllScopes are the scopes of a token unless its user asks for less.
func AllScopes() []Scope { return []Scope{ScopeRead, ScopeExecute, ScopeWrite, ScopeAdmin} }

// Valid reports whether s is one of the scopes.
func (s Scope) Valid() bool { return slices.Contains(AllScopes(), s) }

// A Rule says which callers have a right.
type Rule struct {
	// Role is the least role of a person.
	Role Role
	// Scope is the scope that the token of a person needs.
	Scope Scope
	// Application and Execution say that these kinds have the right too.
	Application, Execution bool
}

// Table says what each caller may do on a platform. Nothing else does: a right that is not in it
// belongs to no principal.
//
// The rights Read and Execute are about the executions of one service: a
// [Principal] from authentication has them in general, and for a given service
// only as far as the service is its own or subscribed to.
func Table() map[Right]Rule {
	return map[Right]Rule{
		Read:               {Role: Viewer, Scope: ScopeRead, Application: true, Execution: true},
		Execute:            {Role: Maintainer, Scope: ScopeExecute, Application: true, Execution: true},
		Identify:           {Role: Viewer, Scope: "", Execution: true},
		ViewTenant:         {Role: Viewer, Scope: ScopeRead},
		Deploy:             {Role: Maintainer, Scope: ScopeWrite},
		DeleteService:      {Role: Owner, Scope: ScopeWrite},
		Publish:            {Role: Owner, Scope: ScopeWrite},
		RunJob:             {Role: Maintainer, Scope: ScopeExecute},
		ManageApplications: {Role: Maintainer, Scope: ScopeWrite},
		ManageKeys:         {Role: Owner, Scope: ScopeAdmin},
		ReadPools:          {Role: Viewer, Scope: ScopeRead, Execution: true},
		WritePools:         {Role: Maintainer, Scope: ScopeWrite, Execution: true},
		SharePools:         {Role: Owner, Scope: ScopeWrite, Execution: true},
		ViewSecrets:        {Role: Viewer, Scope: ScopeRead},
		ManageSecrets:      {Role: Owner, Scope: ScopeAdmin},
		ManageMembers:      {Role: Owner, Scope: ScopeAdmin},
		ReadAudit:          {Role: Owner, Scope: ScopeAdmin},
		ManageTokens:       {Role: Viewer, Scope: ScopeAdmin},
	}
}

// rightsTable answers from the table without making a slice for each request.
type rightsTable struct {
	persons     map[Role]map[string][]Right // by the scopes, joined
	application []Right
	execution   []Right
}

var rights = newRightsTable()

func newRightsTable() *rightsTable {
	t := &rightsTable{persons: map[Role]map[string][]Right{}}
	table := Table()
	names := slices.Sorted(maps.Keys(table))
	for _, right := range names {
		if table[right].Application {
			t.application = append(t.application, right)
		}
		if table[right].Execution {
			t.execution = append(t.execution, right)
		}
	}
	for role := range ranks {
		t.persons[role] = map[string][]Right{}
		for _, scopes := range scopeSets() {
			var has []Right
			for _, right := range names {
				rule := table[right]
				if role.Includes(rule.Role) && (rule.Scope == "" || slices.Contains(scopes, rule.Scope)) {
					has = append(has, right)
				}
			}
			t.persons[role][joinScopes(scopes)] = has
		}
	}
	return t
}

// scopeSets are all sets of scopes, in the order of [AllScopes].
func scopeSets() [][]Scope {
	all := AllScopes()
	var sets [][]Scope
	for bits := range 1 << len(all) {
		var set []Scope
		for i, scope := range all {
			if bits&(1<<i) != 0 {
				set = append(set, scope)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

// joinScopes is the form of scopes in a database.
func joinScopes(scopes []Scope) string {
	words := make([]string, 0, len(scopes))
	for _, scope := range AllScopes() {
		if slices.Contains(scopes, scope) {
			words = append(words, string(scope))
		}
	}
	return strings.Join(words, " ")
}

// ofPerson returns the rights of a person with a role and a token.
func (t *rightsTable) ofPerson(role Role, scopes []Scope) []Right {
	return t.persons[role][joinScopes(scopes)]
}
