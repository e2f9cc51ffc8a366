// Package flow speaks the OAuth 2.0 API of Matrix homeservers (Matrix 1.15 and
// later, with the device authorization grant of 1.18) as a client: it finds a
// homeserver's issuer, registers itself, shows the way to a login on another
// device, and refreshes and revokes what came of it. It speaks to plain OpenID
// providers too.
//
// A login is five steps, each a method of [Agent], each with one value as its
// result:
//
//	Discover  server name      → Server
//	Begin     Server           → Client, Code   (Register, then Start)
//	Wait      Code             → Session
//	Refresh   Session          → Session
//	Revoke    Session
//
// At a server without the device grant, BeginBrowser makes a link instead of a
// code, and WaitBrowser waits for the browser that was sent there to come back to
// a [Listener] on this machine.
//
// The package never prints and never stores. Whoever refreshes a Session must
// store the new one durably before using its access token: a server may end
// the session when the old refresh token comes again after the new tokens were
// seen (Matrix specification, "Refreshing access tokens"). Two refreshes of one
// session must not overlap. Package keystore does both. A Revoke that fails may
// have rotated the tokens as well, see [*RotatedError].
//
// What a server's answer means is decided in one place, see judge.go. Errors
// are [*Error] and carry a [Kind].
//
// The device poll, refresh and redirect behaviour of golang.org/x/oauth2 is not
// used, only its types: it re-sends refresh tokens to other hosts after a
// redirect, ends a login at the first lost packet, and offers no moment between
// a refresh and the use of its result.
package flow
