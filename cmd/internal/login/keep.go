package login

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mxauth/mxauth/cmd/internal/exit"
	"github.com/mxauth/mxauth/flow"
	"github.com/mxauth/mxauth/keystore"
)

// keep stores an approved session, asks whose it is and gives it its name. The
// order matters: the tokens are durable before the first of them is used. From
// here on an interrupt does not stop the login any more; every step has a
// deadline of its own.
func (a *attempt) keep(slot keystore.Entry, s flow.Session) (flow.Event, error) {
	ctx := context.WithoutCancel(a.ctx)
	slot, err := a.Store.Fill(ctx, slot, s)
	if err != nil {
		a.discard(s)
		return flow.Event{}, errors.Join(err, a.Store.Remove(ctx, slot, nil))
	}
	who, err := a.identify(ctx, s)
	if err != nil {
		return flow.Event{}, errors.Join(err, a.undo(ctx, slot))
	}
	a.compareScopes(s)
	a.tellIdle(s)
	name := a.Name
	if name == "" {
		name = who.UserID
	}
	if name == "" { // the homeserver is down just now: the name can be changed later
		name = s.Server.Name + "-" + s.DeviceID
	}
	e, err := a.name(ctx, slot, name, who.UserID)
	if err != nil {
		return flow.Event{}, err
	}
	return flow.Event{Kind: flow.EventDone, Name: e.Name, UserID: e.UserID, Server: s.Server, Store: e.Kind.Words()}, nil
}

// compareScopes tells of what was granted otherwise than it was asked for. More
// than that comes from plain issuers only; flow refuses it at a homeserver.
func (a *attempt) compareScopes(s flow.Session) {
	more, missing := flow.CompareScopes(a.want.Scope, s.Scope)
	if len(missing) > 0 {
		a.warn("The server left out of what was asked for: %s", flow.Clean(strings.Join(missing, " "), 200))
	}
	if len(more) > 0 {
		a.warn("The server added to what was asked for: %s", flow.Clean(strings.Join(more, " "), 200))
	}
}

// tellIdle warns of a session that dies when it is left alone, where the server
// says so.
func (a *attempt) tellIdle(s flow.Session) {
	if s.RefreshLife == 0 {
		return
	}
	life := fmt.Sprintf("%.0f minutes", s.RefreshLife.Minutes())
	if s.RefreshLife >= 48*time.Hour {
		life = fmt.Sprintf("%.0f days", s.RefreshLife.Hours()/24)
	}
	text := "The server ends this session when it was not used for " + life + ": let a timer run mxauth refresh"
	if s.Server.OfflineAccess && !s.HasScope("offline_access") {
		text += ", or log in with --scope offline_access beside the others"
	}
	a.warn("%s.", text)
}

// identify asks whose session it is. A homeserver that cannot say so just after
// the login is asked twice more: it may still be making the account. A login is
// not undone for it.
func (a *attempt) identify(ctx context.Context, s flow.Session) (flow.Identity, error) {
	if !s.CanIdentify() {
		return flow.Identity{}, nil
	}
	var who flow.Identity
	var err error
	for try := range 3 {
		if try > 0 {
			time.Sleep(time.Duration(try) * 500 * time.Millisecond)
		}
		who, err = a.Agent.WhoAmI(ctx, s)
		if flow.KindOf(err) != flow.KindTemporary {
			break
		}
	}
	switch {
	case err == nil && strings.HasPrefix(a.typed, "@") && who.UserID != a.typed:
		return who, &flow.Error{Kind: flow.KindInvalid, Op: "log in as " + flow.Clean(a.typed, 100), Host: s.Server.Name,
			Problem: "the login was approved by " + who.UserID + "; it was undone"}
	case err == nil || flow.KindOf(err) == flow.KindInvalid:
		return who, err
	}
	a.warn("Whose session this is could not be asked: %s", err)
	return flow.Identity{}, nil
}

// name gives the slot its name. Where a session for the same purpose has the
// name, the slot takes it, and the old session is revoked after that; otherwise
// the new one is undone. Another login may be doing the same, so what was found
// may be out of date once or twice.
func (a *attempt) name(ctx context.Context, slot keystore.Entry, name, user string) (keystore.Entry, error) {
	var over *keystore.Entry
	var err error
	for range 3 {
		var e keystore.Entry
		if e, err = a.Store.Name(ctx, slot, name, user, over); err == nil {
			if over != nil {
				a.endFormer(ctx, *over, e.DeviceID)
			}
			return e, nil
		}
		var taken *keystore.ExistsError
		if !errors.As(err, &taken) {
			break
		}
		var old keystore.Entry
		if old, err = a.Store.Find(name); errors.Is(err, keystore.ErrNotFound) {
			continue
		}
		if err == nil {
			err = a.differs(old, slot, user)
		}
		if err != nil {
			break
		}
		over = &old
	}
	return slot, errors.Join(err, a.undo(ctx, slot))
}

// differs says why a login may not take the place of a session.
func (a *attempt) differs(old, now keystore.Entry, user string) error {
	switch {
	case old.Issuer != now.Issuer && !moved(old, now, user):
		return exit.Usagef("the session %s is for %s, this login was at %s; it was undone, the old one is kept. Choose another --name", old.Name, old.Server, now.Server)
	case old.UserID != "" && user != "" && old.UserID != user:
		return exit.Usagef("the session %s belongs to %s, this login was approved by %s; it was undone, the old one is kept", old.Name, old.UserID, user)
	case a.Name == "" && !SameScope(old.Scope, now.Scope):
		return exit.Usagef("there is a session %s with another scope; this login was undone. Give it a --name of its own", old.Name)
	}
	return nil
}

// moved reports whether a homeserver's account is the same although another issuer
// answers for it now: the server's name, which is part of the user ID, says so.
func moved(old, now keystore.Entry, user string) bool {
	return old.Homeserver != "" && now.Homeserver != "" && old.Server == now.Server && user != "" && old.UserID == user
}

// endFormer revokes the session that was replaced, and says what that means. A
// device that the new session has too lives on at the server.
func (a *attempt) endFormer(ctx context.Context, old keystore.Entry, device string) {
	ended := old.Ended != nil
	err := a.undo(ctx, old)
	if tokensGone(err) {
		a.warn("The former session under this name has no tokens here any more. If it lives, end it in the account page%s.", deviceWords(old.DeviceID))
		ended, err = true, a.Store.Remove(ctx, old, nil)
	}
	if err != nil && !errors.Is(err, keystore.ErrNotFound) {
		a.warn("The former session under this name could not be ended (%s); the next login tries again, or end it in the account page%s.", err, deviceWords(old.DeviceID))
		return
	}
	if ended {
		return
	}
	text := "The former session under this name was ended"
	if old.DeviceID != "" && old.DeviceID != device {
		text += "; the end-to-end keys of its device " + old.DeviceID + " are gone with it"
	}
	a.warn("%s.", text)
}

// undo ends and forgets a session that may not stay.
func (a *attempt) undo(ctx context.Context, e keystore.Entry) error {
	return a.Store.Remove(ctx, e, a.Agent.Revoke)
}

// sweep ends what killed logins left behind. What lies in another store is left
// to a login that uses it: it might have to be unlocked.
func (a *attempt) sweep() {
	left, err := a.Store.Abandoned()
	if err != nil {
		return // the login itself meets the same trouble, and tells
	}
	for _, e := range left {
		if e.Kind != a.Kind {
			continue
		}
		a.clear(e)
	}
}

// clear ends what one killed login left behind. Where it left no tokens its device
// is all that is known, so that is told before it is forgotten.
func (a *attempt) clear(e keystore.Entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), revokeTime)
	defer cancel()
	_, err := a.Store.Get(ctx, e)
	empty := tokensGone(err)
	if empty {
		a.warn("An earlier login at %s was interrupted. If it was approved all the same, end its device in the account page%s.", e.Server, deviceWords(e.DeviceID))
	}
	if a.ctx.Err() != nil { // nobody listens any more
		return
	}
	err = a.undo(ctx, e)
	if tokensGone(err) { // and nobody works on it who might bring some
		err = a.Store.Remove(ctx, e, nil)
	}
	switch {
	case errors.Is(err, keystore.ErrNotFound): // another login was faster
	case err != nil:
		a.warn("A login at %s that was interrupted left a session, which could not be ended: %s", e.Server, err)
	case !empty:
		a.warn("A session at %s that an interrupted login had left was ended%s.", e.Server, deviceWords(e.DeviceID))
	}
}

// tokensGone tells a session of which the store has no tokens: there is nothing
// to revoke it with.
func tokensGone(err error) bool {
	var bad *keystore.Error
	return errors.As(err, &bad) && bad.Kind == keystore.Missing
}
