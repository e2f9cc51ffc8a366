package flow

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// An Identity is whose token it is.
type Identity struct {
	UserID   string // Matrix user ID, or the subject at a plain issuer
	DeviceID string // Matrix device, empty if the token has none
	Name     string // username, if userinfo told one
}

// CanIdentify reports whether the session's scope lets anyone be asked whose it
// is. Where it does not, a refusal says nothing about the session: a homeserver
// answers M_UNKNOWN_TOKEN for a token without the API scope as for a dead one.
func (s Session) CanIdentify() bool {
	return s.Server.Matrix() && s.HasScope(ScopeAPI) || s.HasScope("openid") && s.Server.Userinfo != ""
}

// WhoAmI asks the homeserver (GET /_matrix/client/v3/account/whoami), or with
// openid and no API scope the issuer's userinfo endpoint.
//
// Errors: KindUnsupported if CanIdentify is false; KindEnded if the token is
// not accepted, which does not show that the session is dead: homeservers
// answer so for locked accounts too; KindTemporary when the homeserver cannot
// ask its issuer (503), or does not know the new user yet.
func (a *Agent) WhoAmI(ctx context.Context, s Session) (Identity, error) {
	switch {
	case s.Server.Matrix() && s.HasScope(ScopeAPI):
		return a.homeserverIdentity(ctx, s)
	case s.HasScope("openid") && s.Server.Userinfo != "":
		return a.userinfo(ctx, s)
	}
	return Identity{}, &Error{Kind: KindUnsupported, Op: opIdentity.String(), Host: hostOf(s.Server.Issuer),
		Problem: "its scope opens neither the Matrix API nor userinfo"}
}

func (a *Agent) homeserverIdentity(ctx context.Context, s Session) (Identity, error) {
	ans, err := a.get(ctx, opIdentity, s.Server.Homeserver+"/_matrix/client/v3/account/whoami", s.AccessToken)
	if err != nil {
		return Identity{}, err
	}
	if ans.status != http.StatusOK {
		return Identity{}, identityRefusal(ans)
	}
	var doc struct {
		UserID   string `json:"user_id"`
		DeviceID string `json:"device_id"`
	}
	if err := ans.decode(&doc); err != nil {
		return Identity{}, err
	}
	if !goodUserID(doc.UserID) {
		return Identity{}, ans.fail(KindInvalid, ans.host+" named a malformed user ID")
	}
	if s.DeviceID != "" && doc.DeviceID != s.DeviceID {
		return Identity{}, ans.fail(KindInvalid, ans.host+" names another device than the one that was asked for")
	}
	return Identity{UserID: doc.UserID, DeviceID: doc.DeviceID}, nil
}

func (a *Agent) userinfo(ctx context.Context, s Session) (Identity, error) {
	ans, err := a.get(ctx, opIdentity, s.Server.Userinfo, s.AccessToken)
	if err != nil {
		return Identity{}, err
	}
	if ans.status != http.StatusOK {
		return Identity{}, identityRefusal(ans)
	}
	var doc struct {
		Subject   string `json:"sub"`
		Username  string `json:"username"`
		Preferred string `json:"preferred_username"`
	}
	if err := ans.decode(&doc); err != nil {
		return Identity{}, err
	}
	if !printable(doc.Subject, 255) {
		return Identity{}, ans.fail(KindInvalid, ans.host+" named no usable subject")
	}
	name := doc.Username
	if name == "" {
		name = doc.Preferred
	}
	return Identity{UserID: doc.Subject, Name: Clean(name, 100)}, nil
}

func identityRefusal(ans answer) error {
	said := fmt.Sprintf("%s answered %d", ans.host, ans.status)
	switch {
	case ans.errcode == "M_USER_LOCKED":
		return ans.fail(KindRefused, said+": the account is locked")
	case passing(ans.status):
		return ans.fail(KindTemporary, said)
	case ans.status == http.StatusUnauthorized:
		return ans.fail(KindEnded, ans.host+" does not accept the token")
	case ans.status >= 300 && ans.status < 400:
		return ans.refusal(unsafe)
	}
	return ans.fail(KindRefused, said)
}

// goodUserID follows the Matrix specification, appendices, "User Identifiers",
// as wide as history made them but without anything that does not print.
func goodUserID(id string) bool {
	local, server, found := strings.Cut(strings.TrimPrefix(id, "@"), ":")
	if !strings.HasPrefix(id, "@") || !found || local == "" || len(id) > 255 || !printable(id, 255) || strings.Contains(id, " ") {
		return false
	}
	_, problem := splitName(server)
	return problem == ""
}
