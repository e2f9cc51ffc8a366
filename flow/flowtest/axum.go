package flowtest

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Tuwunel and Continuwuity let the axum framework read forms and JSON, and send
// out as they are its complaints about what it cannot read: plain text (axum
// 0.8, axum/src/form.rs and axum/src/json.rs).

func axumText(status int, body string) answer {
	return text(status, body, "Content-Type", "text/plain; charset=utf-8", "Access-Control-Allow-Origin", everyOrigin)
}

// axumForm complains about a form that lacks fields, or is none; nil is a form
// that can be used.
func axumForm(c *call, fields ...string) *answer {
	var a answer
	missing := slices.IndexFunc(fields, func(f string) bool { return !c.form.Has(f) })
	switch {
	case mediaType(c.Request) != "application/x-www-form-urlencoded":
		a = axumText(http.StatusUnsupportedMediaType, "Form requests must have `Content-Type: application/x-www-form-urlencoded`")
	case c.bad != nil:
		a = axumText(http.StatusUnprocessableEntity, "Failed to deserialize form body: invalid encoding")
	case missing >= 0:
		a = axumText(http.StatusUnprocessableEntity, "Failed to deserialize form body: missing field `"+fields[missing]+"`")
	default:
		return nil
	}
	return &a
}

// axumJSON reads a JSON object into v, a pointer to a struct.
func axumJSON(c *call, v any) *answer {
	var a answer
	switch {
	case mediaType(c.Request) != "application/json":
		a = axumText(http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`")
	case !json.Valid(c.body):
		a = axumText(http.StatusBadRequest, "Failed to parse the request body as JSON")
	case json.Unmarshal(c.body, v) != nil:
		a = axumText(http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type: invalid type")
	default:
		return nil
	}
	return &a
}

func axumAnswer(status int, v any) answer {
	return jsonAnswer(status, v, "Access-Control-Allow-Origin", everyOrigin)
}

// client finds the registration with the same metadata, or makes one, whose ID
// comes from them. It returns them too, as an answer echoes them.
func (s *Server) client(metadata any, name *string, grants []string) (*client, map[string]any) {
	canonical, err := json.Marshal(metadata)
	if err != nil {
		panic(err) // strings only
	}
	echo := map[string]any{}
	if err := json.Unmarshal(canonical, &echo); err != nil {
		panic(err) // written a moment ago
	}
	digest := sha256.Sum256(canonical)
	if known := s.state.dedup[digest]; known != nil {
		return known, echo
	}
	cl := &client{id: s.traits.clientID(digest, s.now()), issued: s.now().Unix(), method: "none", grants: grants, metadata: map[string]any{}}
	if name != nil {
		cl.metadata["client_name"] = *name
	}
	s.state.dedup[digest], s.state.clients[cl.id] = cl, cl
	return cl, echo
}

// httpsURL reads an https URL with a host and without user information.
func httpsURL(raw string) (*url.URL, bool) {
	u, err := url.Parse(raw)
	return u, err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil
}

func sameOrBelow(host, base string) bool { return host == base || strings.HasSuffix(host, "."+base) }
