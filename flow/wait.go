package flow

import (
	"context"
	"errors"
	"net/url"
	"time"
)

const (
	// pollMargin is added to every pause: Keycloak takes two polls that are
	// exactly one interval apart for too fast.
	pollMargin = 100 * time.Millisecond

	slowDownStep = 5 * time.Second // RFC 8628 section 3.5
	backoffMax   = 30 * time.Second
	oddMax       = 3 // answers in a row that make no sense, before it is over

	// lastCall is how long before the code expires a poll is made that
	// trouble would have put off for longer.
	lastCall = 2 * time.Second

	// lastWords is how long a poll that is under way may still take after
	// the caller gave up: its answer may be the tokens.
	lastWords = 2 * time.Second
)

// Wait polls until the login is approved, declined or expired (RFC 8628 section
// 3.4 and 3.5). Polls never overlap; the first comes after one interval. Lost
// connections and server trouble are waited out until the code expires, and
// told to events as EventOffline and EventOnline. A nil channel is told nothing;
// any other must be read, because Wait waits for its reader.
//
// The Session has no UserID yet: see WhoAmI. Its scope may be less than was asked
// for, see CompareScopes. If ctx ends while a poll is under way that brings the
// tokens, Wait returns them and no error: the caller should look at ctx and
// revoke what nobody wants any more.
//
// Errors: KindDeclined, KindExpired, KindEnded if the server handed the tokens
// out and they may have been lost on the way, KindInvalid, KindRefused; an end
// of ctx is its cause. A homeserver's tokens that carry more than was asked for,
// or for another device, are revoked, and the error is KindInvalid. What may hide
// a session that the server has made is wrapped by an UnheardError.
func (a *Agent) Wait(ctx context.Context, s Server, c Client, code Code, events chan<- Event) (Session, error) {
	p := poller{agent: a, server: s, client: c, code: code, events: events, pause: code.Interval}
	session, err := p.wait(ctx)
	if err != nil && p.lost {
		err = &UnheardError{code.DeviceID, err}
	}
	return session, err
}

// An UnheardError ends a wait whose last poll had no answer that was the server's
// own: the tokens may have been in it, so the server may have made the session. It
// wraps what went wrong.
type UnheardError struct {
	DeviceID string // the Matrix device that stands in the account page then; may be empty
	err      error
}

// Error says what went wrong.
func (e *UnheardError) Error() string { return e.err.Error() }

// Unwrap returns what went wrong.
func (e *UnheardError) Unwrap() error { return e.err }

func (p *poller) wait(ctx context.Context) (Session, error) {
	for {
		if err := p.sleep(ctx); err != nil {
			return Session{}, err
		}
		ans, asked, err := p.poll(ctx)
		if err != nil {
			if KindOf(err) != KindTemporary {
				p.lost = true
				return Session{}, err
			}
			p.offline(ctx, err, 0)
			continue
		}
		session, done, err := p.decide(ctx, ans, asked)
		if done {
			return session, err
		}
	}
}

// A poller is the state of one Wait.
type poller struct {
	agent  *Agent
	server Server
	client Client
	code   Code
	events chan<- Event

	pause   time.Duration // the interval in force
	backoff time.Duration // instead of it, while there is trouble
	odd     int           // answers in a row that made no sense
	lost    bool          // the last answer was none of the server's: it may have been the tokens
	away    bool          // EventOffline was sent and EventOnline was not
}

// sleep waits for the next poll, or until the code has expired.
func (p *poller) sleep(ctx context.Context) error {
	d, left := p.next(), time.Until(p.code.Expiry)
	if left <= 0 {
		return p.expired()
	}
	if err := sleep(ctx, min(d, left)); err != nil {
		return err
	}
	if d > left {
		return p.expired()
	}
	return nil
}

// next is the pause before the next poll.
func (p *poller) next() time.Duration {
	wait := min(p.backoff, time.Until(p.code.Expiry)-lastCall)
	return max(wait, p.pause) + pollMargin
}

func (p *poller) expired() error {
	return &Error{Kind: KindExpired, Op: "log in", Host: hostOf(p.server.Issuer), Problem: "the code expired"}
}

// poll asks once. Giving up does not cut it off at once, see lastWords.
func (p *poller) poll(ctx context.Context) (answer, time.Time, error) {
	inner, stop := patient(ctx)
	defer stop()
	asked := time.Now()
	ans, err := p.agent.post(inner, opPoll, p.server.Token, p.code.DeviceName, p.client, url.Values{
		"grant_type":  {grantDeviceCode},
		"device_code": {p.code.deviceCode.Reveal()},
	}, p.code.deviceCode)
	return ans, asked, err
}

// patient returns a context that ends lastWords after ctx, with its cause. stop
// must be called.
func patient(ctx context.Context) (inner context.Context, stop func()) {
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		t := time.NewTimer(lastWords)
		defer t.Stop()
		select {
		case <-t.C:
		case <-inner.Done():
		}
		cancel(context.Cause(ctx))
	})
	return inner, func() { forget(); cancel(nil) }
}

// decide reads one answer; done tells whether the waiting is over.
func (p *poller) decide(ctx context.Context, ans answer, asked time.Time) (s Session, done bool, err error) {
	switch v := judge(ans); v {
	case success:
		want := Request{Scope: p.code.Scope, DeviceID: p.code.DeviceID, DeviceName: p.code.DeviceName}
		s, err = p.agent.session(ctx, p.server, p.client, want, ans, asked)
		if err == nil || ans.object {
			return s, true, err
		}
		return s, p.isOdd(ctx, err), err
	case pending:
		p.online(ctx)
	case slowDown:
		p.online(ctx)
		p.pause += slowDownStep
		p.backoff = min(ans.refusal(v).RetryAfter, intervalMax)
	case temporary:
		e := ans.refusal(v)
		if !passing(ans.status) {
			return s, p.isOdd(ctx, e), e
		}
		p.offline(ctx, e, e.RetryAfter)
	case grantDead:
		return s, true, p.gone(ans)
	default:
		return s, true, ans.refusal(v)
	}
	return s, false, nil
}

// isOdd counts answers that are neither tokens nor an OAuth error, as from a
// captive portal. A few are waited out.
func (p *poller) isOdd(ctx context.Context, err error) (done bool) {
	if p.odd++; p.odd >= oddMax {
		var e *Error
		if errors.As(err, &e) {
			e.Kind = KindInvalid
		}
		return true
	}
	p.offline(ctx, err, 0)
	return false
}

// gone words an invalid_grant: the server does not know the code any more. That
// has three causes, and the server does not tell which.
func (p *poller) gone(ans answer) error {
	switch {
	case time.Until(p.code.Expiry) <= p.pause+pollMargin:
		return p.expired()
	case p.lost:
		problem := ans.host + " has ended this login; its answer may have been lost on the way"
		if p.code.DeviceID != "" {
			problem += ", then the device " + p.code.DeviceID + " stands in the account page"
		}
		return ans.fail(KindEnded, problem)
	}
	return ans.fail(KindDeclined, "the login was declined or refused at "+ans.host)
}

// online notes that the server answers sensibly.
func (p *poller) online(ctx context.Context) {
	p.odd, p.backoff, p.lost = 0, 0, false
	if p.away {
		p.away = false
		p.tell(ctx, Event{Kind: EventOnline})
	}
}

// offline doubles the pause, up to backoffMax (RFC 8628 section 3.5), or takes
// what the server asked for, up to intervalMax.
func (p *poller) offline(ctx context.Context, err error, after time.Duration) {
	p.backoff = min(max(2*p.backoff, 2*p.pause), backoffMax)
	if after > 0 {
		p.backoff = min(after, intervalMax)
	}
	p.away, p.lost = true, true
	p.tell(ctx, Event{Kind: EventOffline, Err: err, Retry: time.Now().Add(p.next())})
}

func (p *poller) tell(ctx context.Context, e Event) { tell(ctx, p.events, e) }

// tell sends an event to whoever reads them, if there is anybody.
func tell(ctx context.Context, events chan<- Event, e Event) {
	if events == nil {
		return
	}
	e.Time = time.Now()
	select {
	case events <- e:
	case <-ctx.Done():
	}
}
