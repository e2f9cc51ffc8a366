package flowtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const (
	grantCode        = "authorization_code"
	grantRefresh     = "refresh_token"
	grantCredentials = "client_credentials"
	grantDeviceCode  = "urn:ietf:params:oauth:grant-type:device_code"
)

// discovery is MAS's openid-configuration, an RFC 8414 document.
func (s *Server) discovery(*call) answer {
	return jsonAnswer(http.StatusOK, s.traits.metadata(s), "Access-Control-Allow-Origin", everyOrigin)
}

// masMetadata follows the switch of the device grant; the homeserver's copy of it
// does not.
func (s *Server) masMetadata() map[string]any {
	methods := []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"}
	methodAlgs := []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES256K"}
	signingAlgs := []string{"RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384", "PS512", "ES256K"}
	grants := []string{grantCode, grantRefresh, grantCredentials}
	m := map[string]any{
		"issuer":                                                    s.Issuer,
		"authorization_endpoint":                                    s.Issuer + "authorize",
		"jwks_uri":                                                  s.Issuer + "oauth2/keys.json",
		"registration_endpoint":                                     s.Issuer + "oauth2/registration",
		"userinfo_endpoint":                                         s.Issuer + "oauth2/userinfo",
		"scopes_supported":                                          []string{"openid", "email"},
		"response_types_supported":                                  []string{"code", "id_token", "code id_token"},
		"response_modes_supported":                                  []string{"form_post", "query", "fragment"},
		"code_challenge_methods_supported":                          []string{"plain", "S256"},
		"subject_types_supported":                                   []string{"public"},
		"id_token_signing_alg_values_supported":                     signingAlgs,
		"userinfo_signing_alg_values_supported":                     signingAlgs,
		"display_values_supported":                                  []string{"page"},
		"claim_types_supported":                                     []string{"normal"},
		"claims_supported":                                          []string{"iss", "sub", "aud", "iat", "exp", "nonce", "auth_time", "at_hash", "c_hash"},
		"claims_parameter_supported":                                false,
		"request_parameter_supported":                               false,
		"request_uri_parameter_supported":                           false,
		"prompt_values_supported":                                   []string{"login"},
		"account_management_uri":                                    s.Issuer + "account/",
		"account_management_actions_supported":                      accountActions(),
		"org.matrix.matrix-authentication-service.graphql_endpoint": s.Issuer + "graphql",
	}
	for endpoint, path := range map[string]string{"token": "token", "revocation": "revoke", "introspection": "introspect"} {
		m[endpoint+"_endpoint"] = s.Issuer + "oauth2/" + path
		m[endpoint+"_endpoint_auth_methods_supported"] = methods
		m[endpoint+"_endpoint_auth_signing_alg_values_supported"] = methodAlgs
	}
	if s.state.deviceGrant {
		m["device_authorization_endpoint"] = s.Issuer + "oauth2/device"
		grants = append(grants, grantDeviceCode)
	}
	m["grant_types_supported"] = grants
	return m
}

// accountActions are the deep links of the account page (MSC4191), the newer
// names and the older ones.
func accountActions() []string {
	var actions []string
	for name := range strings.FieldsSeq("profile devices_list device_view device_delete cross_signing_reset sessions_list session_view session_end") {
		actions = append(actions, "org.matrix."+name)
	}
	return actions
}

func newSigningKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return k
}

// keys are what id_tokens are verified with (RFC 7517).
func (s *Server) keys(*call) answer {
	point, err := s.key().PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err) // a key we made ourselves
	}
	encode := base64.RawURLEncoding.EncodeToString
	return jsonAnswer(http.StatusOK, map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "use": "sig", "alg": "ES256", "kid": "flowtest", "crv": "P-256",
		"x": encode(point[1:33]), "y": encode(point[33:]),
	}}}, "Access-Control-Allow-Origin", everyOrigin)
}

// authMetadata is the homeserver's copy of the metadata (Matrix 1.15). Synapse
// fetches it once and keeps it for as long as it runs, so it can be stale, and
// is there when the authorization server is not.
func (s *Server) authMetadata(*call) answer {
	if s.state.metadata == nil {
		if s.state.authDown {
			return matrixError(http.StatusInternalServerError, "M_UNKNOWN", "Internal server error")
		}
		s.state.metadata = jsonAnswer(http.StatusOK, s.traits.metadata(s)).body
	}
	a := cacheable(nil)
	a.body = bytes.Clone(s.state.metadata)
	return a
}

// cacheable is an answer that Synapse lets caches keep.
func cacheable(v any) answer {
	return jsonAnswer(http.StatusOK, v,
		"Cache-Control", "public, max-age=600, s-maxage=3600, stale-while-revalidate=600",
		"Access-Control-Allow-Origin", everyOrigin)
}

// wellKnown says where the homeserver is and, before Matrix 1.15, who
// authenticates for it.
func (s *Server) wellKnown(*call) answer {
	m := map[string]any{"m.homeserver": map[string]any{"base_url": s.URL + "/"}}
	if s.Issuer != "" && !s.traits.oneOrigin {
		m["org.matrix.msc2965.authentication"] = map[string]any{"issuer": s.Issuer, "account": s.Issuer + "account/"}
	}
	return matrixAnswer(http.StatusOK, m)
}

// versions of Synapse advertise no OAuth, although there is: clients must not ask
// here.
func (s *Server) versions(*call) answer {
	var versions []string
	for v := range strings.FieldsSeq("r0.0.1 r0.1.0 r0.2.0 r0.3.0 r0.4.0 r0.5.0 r0.6.0 r0.6.1") {
		versions = append(versions, v)
	}
	for v := range s.traits.versions {
		versions = append(versions, fmt.Sprintf("v1.%d", v+1))
	}
	return cacheable(map[string]any{"versions": versions, "unstable_features": s.traits.features()})
}

// synapseFeatures are those of Synapse 1.163 as it is installed.
func synapseFeatures() map[string]bool {
	on := strings.Fields(`org.matrix.label_based_filtering org.matrix.e2e_cross_signing org.matrix.msc2432
		uk.half-shot.msc2666.query_mutual_rooms.stable org.matrix.msc2285.stable org.matrix.msc3827.stable
		org.matrix.msc3440.stable org.matrix.msc3771 fi.mau.msc2659.stable org.matrix.msc3981
		org.matrix.simplified_msc3575 uk.tcpip.msc4133.stable org.matrix.msc4380.stable
		org.matrix.msc4445.initial_sync_timeline_topological_ordering`)
	off := strings.Fields(`org.matrix.msc3026.busy_presence org.matrix.msc3773 fi.mau.msc2815 org.matrix.msc3882
		org.matrix.msc3881 org.matrix.msc3874 org.matrix.msc3912 org.matrix.msc3391 org.matrix.msc4069
		org.matrix.msc4028 org.matrix.msc4108 org.matrix.msc4140 uk.tcpip.msc4133 org.matrix.msc4155
		org.matrix.msc4306 com.beeper.msc4169 org.matrix.msc4262 org.matrix.msc4354 org.matrix.msc4429
		uk.timedout.msc4491.create_room_invite_reasons org.matrix.msc4143 com.beeper.msc4446 io.element.msc4502
		io.element.e2ee_forced.public io.element.e2ee_forced.private io.element.e2ee_forced.trusted_private`)
	features := map[string]bool{}
	for _, name := range slices.Concat(on, off) {
		features[name] = slices.Contains(on, name)
	}
	return features
}
