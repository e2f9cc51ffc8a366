package flowtest

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// register is dynamic client registration (RFC 7591), open to everyone. MAS
// checks in this order: content type, syntax, types, coherence, policy. A client
// without a secret that asks for what another asked for before gets that one's
// registration, first issue time and all.
func (s *Server) register(c *call) answer {
	if mediaType(c.Request) != "application/json" || len(c.body) > maxBody {
		return oauthError(http.StatusBadRequest, "invalid_request")
	}
	var raw map[string]json.RawMessage
	if !json.Valid(c.body) {
		return oauthError(http.StatusBadRequest, "invalid_request")
	}
	if json.Unmarshal(c.body, &raw) != nil {
		return badMetadata("invalid type, expected struct ClientMetadata")
	}
	m, problem := readMetadata(raw)
	if problem != "" {
		return badMetadata(problem)
	}
	if code := incoherent(m); code != "" {
		return oauthError(http.StatusBadRequest, code)
	}
	if found := registrationPolicy(m); len(found) > 0 {
		all := strings.Join(found, "; ")
		if strings.Contains(all, "redirect_uri") {
			return oauthProblem(http.StatusBadRequest, "invalid_redirect_uri", all)
		}
		return oauthProblem(http.StatusBadRequest, "invalid_client_metadata", all)
	}
	return jsonAnswer(http.StatusCreated, s.registered(m).answer(), "Access-Control-Allow-Origin", everyOrigin)
}

func badMetadata(problem string) answer {
	return oauthProblem(http.StatusBadRequest, "invalid_client_metadata",
		"Failed to deserialize the JSON body into the target type: "+problem)
}

// registered finds the client that asked for the same before, or makes one. What
// is compared is the request as it came: a device grant that is off is dropped
// only afterwards, so switching it on does not help who has asked before.
func (s *Server) registered(m map[string]any) *client {
	method, _ := m["token_endpoint_auth_method"].(string)
	secret := strings.HasPrefix(method, "client_secret_")
	canonical, err := json.Marshal(m) // sorts the members
	if err != nil {
		panic(err) // it came from JSON
	}
	hash := sha256.Sum256(canonical)
	if known := s.state.dedup[hash]; known != nil && !secret {
		return known
	}
	now := s.now()
	cl := &client{id: s.traits.clientID(hash, now), issued: now.Unix(), method: method, metadata: m}
	for _, g := range grantTypes(m) {
		if slices.Contains([]string{grantCode, grantRefresh, grantCredentials, grantDeviceCode}, g) &&
			(g != grantDeviceCode || s.state.deviceGrant) {
			cl.grants = append(cl.grants, g)
		}
	}
	if secret {
		cl.secret = randomString(32)
	} else {
		s.state.dedup[hash] = cl
	}
	s.state.clients[cl.id] = cl
	return cl
}

// answer is what a client is told of its registration: no response types, no
// software version, no localized names.
func (cl *client) answer() map[string]any {
	a := map[string]any{
		"client_id": cl.id, "client_id_issued_at": cl.issued,
		"redirect_uris": []string{}, "grant_types": append([]string{}, cl.grants...),
	}
	if cl.secret != "" {
		a["client_secret"] = cl.secret
	}
	for _, name := range []string{"redirect_uris", "application_type", "token_endpoint_auth_method", "client_name",
		"client_uri", "logo_uri", "tos_uri", "policy_uri", "contacts", "jwks_uri", "jwks", "initiate_login_uri",
		"id_token_signed_response_alg", "userinfo_signed_response_alg", "token_endpoint_auth_signing_alg"} {
		if v, ok := cl.metadata[name]; ok {
			a[name] = v
		}
	}
	return a
}

// grantTypes are the requested ones; without any it is the authorization code
// (RFC 7591 section 2).
func grantTypes(m map[string]any) []string {
	if g, ok := m["grant_types"].([]string); ok {
		return g
	}
	return []string{grantCode}
}

// incoherent finds what cannot be meant, before there is a policy.
func incoherent(m map[string]any) (code string) {
	grants := grantTypes(m)
	redirects := slices.Contains(grants, grantCode) || slices.Contains(grants, "implicit")
	uris, _ := m["redirect_uris"].([]string)
	if redirects && m["redirect_uris"] == nil || slices.ContainsFunc(uris, hasFragment) {
		return "invalid_redirect_uri"
	}
	types, _ := m["response_types"].([]string)
	if len(types) > 0 && !redirects {
		return "invalid_client_metadata"
	}
	if m["jwks"] != nil && m["jwks_uri"] != nil {
		return "invalid_client_metadata"
	}
	return ""
}

func hasFragment(uri string) bool { return strings.Contains(uri, "#") }

// kind is the JSON type of a member of the metadata.
type kind int

const (
	kindOther kind = iota
	kindText
	kindTexts
	kindURL
	kindURLs
)

// kindOf tells the members of RFC 7591 and of OpenID Connect registration. What
// it does not know is ignored, and not part of a client's identity.
func kindOf(name string) (kind, bool) {
	base, _, _ := strings.Cut(name, "#") // client_name#de is a name too
	switch base {
	case "redirect_uris", "request_uris":
		return kindURLs, base == name
	case "response_types", "grant_types", "contacts", "default_acr_values":
		return kindTexts, base == name
	case "client_name":
		return kindText, true
	case "logo_uri", "client_uri", "policy_uri", "tos_uri":
		return kindURL, true
	case "jwks_uri", "sector_identifier_uri", "initiate_login_uri":
		return kindURL, base == name
	case "application_type", "token_endpoint_auth_method", "token_endpoint_auth_signing_alg", "subject_type",
		"id_token_signed_response_alg", "userinfo_signed_response_alg", "software_id", "software_version",
		"software_statement":
		return kindText, base == name
	case "jwks", "default_max_age", "require_auth_time", "require_signed_request_object":
		return kindOther, base == name
	}
	return kindOther, false
}

// readMetadata reads the members that are known. Lists come out sorted: order
// makes no other client.
func readMetadata(raw map[string]json.RawMessage) (m map[string]any, problem string) {
	m = map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		value := raw[name]
		k, known := kindOf(name)
		if !known || string(value) == "null" {
			continue
		}
		v, problem := readMember(k, value)
		if problem != "" {
			return nil, name + ": " + problem
		}
		m[name] = v
	}
	return m, ""
}

func readMember(k kind, value json.RawMessage) (v any, problem string) {
	switch k {
	case kindText, kindURL:
		var one string
		if json.Unmarshal(value, &one) != nil {
			return nil, "invalid type: " + serdeType(value) + ", expected a string"
		}
		if k == kindURL {
			return normal(one)
		}
		return one, ""
	case kindTexts, kindURLs:
		var many []string
		if json.Unmarshal(value, &many) != nil {
			return nil, "invalid type: " + serdeType(value) + ", expected a sequence"
		}
		for i, one := range many {
			if k == kindURLs {
				u, problem := normal(one)
				if problem != "" {
					return nil, problem
				}
				many[i] = u
			}
		}
		slices.Sort(many)
		return many, ""
	}
	return value, ""
}

// normal writes a URL as MAS keeps it: the root has a path.
func normal(address string) (uri, problem string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return "", "relative URL without a base: \"" + address + "\""
	}
	u.Host = strings.ToLower(u.Host)
	if u.Host != "" && u.Path == "" {
		u.Path = "/"
	}
	return u.String(), ""
}

// serdeType names a JSON value as MAS's parser does in its complaints.
func serdeType(value json.RawMessage) string {
	switch value[0] {
	case '"':
		return "string " + string(value)
	case '[':
		return "sequence"
	case '{':
		return "map"
	case 't', 'f':
		return "boolean `" + string(value) + "`"
	}
	return "number `" + string(value) + "`"
}
