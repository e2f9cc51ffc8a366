package flow

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// exchangeTime bounds the tries to reach the token endpoint with a code. Servers
// give a code a minute at least.
const exchangeTime = 30 * time.Second

// BeginBrowser registers a client, unless c has an ID already, and makes the link
// of a login by browser: the authorization code grant of RFC 6749 section 4.1
// with PKCE, as RFC 8252 has it for native applications. redirectURI is where the
// browser shall end, see [Listener].
//
// Errors: those of [Server.CheckBrowserLogin], Register and Authorize.
func (a *Agent) BeginBrowser(ctx context.Context, s Server, c Client, r Registration, want Request, redirectURI string) (Client, Authorization, error) {
	given := c.ID != ""
	if err := s.CheckBrowserLogin(given); err != nil {
		return Client{}, Authorization{}, err
	}
	if !given {
		r.Browser = true
		var err error
		if c, err = a.Register(ctx, s, r); err != nil {
			return Client{}, Authorization{}, err
		}
	}
	z, err := a.Authorize(s, c, want, redirectURI)
	return c, z, err
}

// WaitBrowser takes addresses that the browser may have ended on, until one of
// them answers z, and exchanges the code in it for tokens. Other addresses are
// told to events as EventStray and change nothing. A nil channel of events is
// told nothing; any other must be read, because WaitBrowser waits for its reader.
//
// What [Agent.Wait] says of the Session, of ctx and of what was granted holds
// here too.
//
// Errors: those of [Authorization.Redirected] but for ErrOtherLogin; KindExpired
// if nobody answers before z expires, or if the server does not take the code;
// KindEnded if the answer with the tokens was lost: a code is used once (RFC 6749
// section 4.1.2); KindTemporary, KindInvalid, KindRefused; an end of ctx is its
// cause.
func (a *Agent) WaitBrowser(ctx context.Context, s Server, c Client, z Authorization, addresses <-chan string, events chan<- Event) (Session, error) {
	late := time.NewTimer(time.Until(z.Expiry))
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return Session{}, context.Cause(ctx)
		case <-late.C:
			return Session{}, &Error{Kind: KindExpired, Op: opRedirect.String(), Host: hostOf(s.Issuer),
				Problem: "nobody answered in the browser within " + authorizeLife.String()}
		case address, ok := <-addresses:
			if !ok {
				addresses = nil
				continue
			}
			code, err := z.Redirected(address)
			if errors.Is(err, ErrOtherLogin) {
				tell(ctx, events, Event{Kind: EventStray, Text: err.Error()})
				continue
			}
			if err != nil {
				return Session{}, err
			}
			tell(ctx, events, Event{Kind: EventAnswered, Server: s})
			return a.exchange(ctx, s, c, z, code, events)
		}
	}
}

// exchange asks for the tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
// The request goes out once: a server that sees a code twice may end what it
// gave for it. Only what cannot have arrived is tried again.
func (a *Agent) exchange(ctx context.Context, s Server, c Client, z Authorization, code Secret, events chan<- Event) (Session, error) {
	begun, away := time.Now(), false
	for pause := time.Second; ; pause *= 2 {
		inner, stop := patient(ctx)
		asked := time.Now()
		ans, err := a.post(inner, opExchange, s.Token, z.DeviceName, c, url.Values{
			"grant_type":    {"authorization_code"},
			"code":          {code.Reveal()},
			"redirect_uri":  {z.RedirectURI},
			"code_verifier": {z.verifier.Reveal()},
		}, code, z.verifier)
		stop()
		if away && !errors.Is(err, errNotSent) {
			tell(ctx, events, Event{Kind: EventOnline})
		}
		switch {
		case err == nil:
			return a.exchanged(ctx, s, c, z, ans, asked)
		case !errors.Is(err, errNotSent) && KindOf(err) == KindTemporary:
			return Session{}, lostTokens(err, z)
		case !errors.Is(err, errNotSent) || time.Since(begun)+pause > exchangeTime:
			return Session{}, err
		}
		away = true
		tell(ctx, events, Event{Kind: EventOffline, Err: err, Retry: time.Now().Add(pause)})
		if err := sleep(ctx, pause); err != nil {
			return Session{}, err
		}
	}
}

// exchanged reads the answer to a code.
func (a *Agent) exchanged(ctx context.Context, s Server, c Client, z Authorization, ans answer, asked time.Time) (Session, error) {
	switch v := judge(ans); v {
	case success:
		session, err := a.session(ctx, s, c, Request{Scope: z.Scope, DeviceID: z.DeviceID, DeviceName: z.DeviceName}, ans, asked)
		if err != nil && !ans.object {
			err = lostTokens(err, z)
		}
		return session, err
	case grantDead:
		return Session{}, ans.fail(KindExpired, ans.host+" does not take the browser's answer: it came too late, or was used before")
	case temporary:
		return Session{}, lostTokens(ans.refusal(v), z)
	default:
		return Session{}, ans.refusal(v)
	}
}

// lostTokens says what a broken exchange may have left at the server. Asking once
// more could not bring it back, so the login is over.
func lostTokens(err error, z Authorization) error {
	var e *Error
	if errors.As(err, &e) {
		e.Kind = KindEnded
		e.Problem += "; the answer may have been the tokens, then this login"
		if z.DeviceID != "" {
			e.Problem += " (device " + z.DeviceID + ")"
		}
		e.Problem += " stands in the account page"
	}
	return err
}
