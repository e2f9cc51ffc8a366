package flowtest

import "time"

// An Option changes how a server is made.
type Option func(*config)

type config struct {
	personality    Personality
	serverName     string
	addr, authAddr string
	clock          func() time.Time
	autofill       bool
	deviceGrant    bool
	strict         bool
	legacy         bool
	tokenLifetime  time.Duration
	codeLifetime   time.Duration
	interval       time.Duration
	latency        time.Duration
	initialToken   string
}

// configured takes the options twice: the first time for the personality, whose
// defaults the others change.
func configured(opts []Option) config {
	c := config{personality: MAS}
	for _, o := range opts {
		o(&c)
	}
	c = defaults(c.personality)
	for _, o := range opts {
		o(&c)
	}
	return c
}

func defaults(p Personality) config {
	t := p.traits()
	return config{
		personality:   p,
		serverName:    "example.test",
		addr:          "127.0.0.1:0",
		authAddr:      "127.0.0.1:0",
		clock:         time.Now,
		deviceGrant:   true,
		autofill:      t.autofill,
		tokenLifetime: t.tokenLifetime,
		codeLifetime:  t.codeLifetime,
		interval:      t.interval,
	}
}

// WithAutofill makes the device authorization response carry
// verification_uri_complete (RFC 8628 section 3.2), and the verification page
// take the code from it. MAS has had this off by default since 1.18
// (oauth.device_code_user_code_auto_fill_enabled).
func WithAutofill() Option { return func(c *config) { c.autofill = true } }

// WithDeviceGrant switches the device authorization grant on or off (MAS's
// oauth.device_code_grant_enabled); SetDeviceGrant does so later. While it is
// off, MAS drops the grant from registrations without a word and gives the same
// crippled client to the same metadata for ever after. The other personalities have
// no such switch.
func WithDeviceGrant(on bool) Option { return func(c *config) { c.deviceGrant = on } }

// WithInitialToken makes registration ask for an initial access token (RFC 7591
// section 3), as Tuwunel does with oidc_registration_access_token set. MAS and
// Continuwuity have nothing of the kind, and ignore it.
func WithInitialToken(token string) Option { return func(c *config) { c.initialToken = token } }

// WithStrictRotation makes the server end the session when a consumed refresh
// token comes again, as RFC 9700 section 4.14.2 advises and node-oidc-provider
// does. MAS does not: it gives a new successor as long as the old one is unused,
// and afterwards refuses and leaves the session alone. The other personalities have
// rules of their own, which this does not change.
func WithStrictRotation() Option { return func(c *config) { c.strict = true } }

// WithTokenLifetime sets how long access tokens live.
func WithTokenLifetime(d time.Duration) Option { return func(c *config) { c.tokenLifetime = d } }

// WithCodeLifetime sets how long device codes live.
func WithCodeLifetime(d time.Duration) Option { return func(c *config) { c.codeLifetime = d } }

// WithInterval sets the interval of the device authorization response, in whole
// seconds; 0 leaves the member out, as RFC 8628 section 3.2 allows.
func WithInterval(d time.Duration) Option { return func(c *config) { c.interval = d } }

// WithLatency makes every request wait before it is handled, as on a slow line.
// If the client goes away meanwhile, it never is. Delay and Hold do so for one
// request.
func WithLatency(d time.Duration) Option { return func(c *config) { c.latency = d } }

// WithAddr sets where the homeserver listens. The default is a free port of
// 127.0.0.1.
func WithAddr(addr string) Option { return func(c *config) { c.addr = addr } }

// WithAuthAddr sets where the authorization server listens. The default is a
// free port of 127.0.0.1.
func WithAuthAddr(addr string) Option { return func(c *config) { c.authAddr = addr } }

// WithServerName sets the server name, example.test otherwise. In memory the
// hosts are named after it, and it answers /.well-known/matrix/client itself.
func WithServerName(name string) Option { return func(c *config) { c.serverName = name } }

// WithLegacyOnly makes a homeserver without an authorization server: no OAuth
// metadata, and the flows of the old login.
func WithLegacyOnly() Option { return func(c *config) { c.legacy = true } }

// WithClock makes the server read the time from now. The default is time.Now,
// which is right in a bubble of testing/synctest too.
func WithClock(now func() time.Time) Option { return func(c *config) { c.clock = now } }
