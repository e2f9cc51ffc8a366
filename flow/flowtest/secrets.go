package flowtest

import (
	"encoding/json"
	"slices"
)

// A Secret is something that an answer gave to a client alone.
type Secret struct {
	Name  string // of the member that held it: access_token, device_code, …
	Value string
}

// secretMembers are the members of answers that nobody but the client may see.
// A user code is for one person to type, and for nobody afterwards.
var secretMembers = []string{
	"access_token", "refresh_token", "id_token", // RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3
	"device_code", "user_code", // RFC 8628 section 3.2
	"client_secret", "registration_access_token", // RFC 7591 section 3.2.1, RFC 7592 section 3
}

// Secrets returns every secret that left the server, oldest first, be it in an
// answer that Edit or Raw made or that was cut. A test can look for them where
// they must not be.
func (s *Server) Secrets() []Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.state.secrets)
}

// noteSecrets keeps the secrets of an answer that is about to leave.
func (s *Server) noteSecrets(a answer) {
	var members map[string]any
	if json.Unmarshal(a.body, &members) != nil {
		return // no object: it has no members
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range secretMembers {
		if value, ok := members[name].(string); ok && value != "" {
			s.state.secrets = append(s.state.secrets, Secret{name, value})
		}
	}
}
