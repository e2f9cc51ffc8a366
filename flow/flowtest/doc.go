// Package flowtest is a Matrix homeserver and its OAuth 2.0 authorization
// server in one process, for tests and demonstrations. It behaves as Synapse
// 1.163 behind matrix-authentication-service (MAS) 1.22 in its default
// configuration; recorded conversations with those two are part of its tests. As
// makes it behave as Tuwunel or Continuwuity instead.
//
// A server listens on loopback, as in net/http/httptest:
//
//	s := flowtest.NewServer()
//	defer s.Close()
//	// log in at s.URL, then
//	err := s.Approve(userCode, "alice")
//
// or lives in memory, for tests in a bubble of testing/synctest, where the
// device grant's minutes pass at once:
//
//	s := flowtest.New()
//	client := s.Client() // answers for s.URL and s.Issuer, opens no socket
//
// The people are alice (password "alice") and root (password "root", an
// administrator); AddUser makes more. A person approves a login by the method
// Approve or in a browser at the verification URI, and a login by browser by the
// method Authorize or in one.
//
// # What goes wrong
//
// The first half of a client is written against a server that answers. For the
// other half, Inject queues faults at an endpoint, each used once, in order:
//
//	s.Inject(flowtest.Refresh, flowtest.LoseAnswer(), flowtest.HTML(502))
//
// A lost answer is the interesting one: the refresh token is consumed and the
// client never learns its successor. MAS forgives that until the successor is
// used; WithStrictRotation is a server that does not forgive and ends the
// session. Where a revocation shall be answered and do nothing, inject Status(200)
// at Revoke. WithLatency slows every request down. LockUser, EndSession,
// ExpireCode, ExpireToken, AuthDown and SetDeviceGrant are what people and
// administrators do meanwhile.
//
// What the client did is counted: Count says how many requests came in at an
// endpoint, Succeeded how many of them were carried out. Fifty processes with one
// expired token that know of each other make
//
//	s.Succeeded(flowtest.Refresh) == 1
//
// and Requests has a line for each, without secrets.
//
// # Left out on purpose
//
//   - The client credentials grant, token exchange, and the authentication
//     methods with JWTs: no login of a person needs them.
//   - Of the authorization code grant, which only MAS has here, id_token and
//     form_post: the code comes in the query or in the fragment. There is no
//     recording of it; it follows MAS's source.
//   - What the metadata names beside that, /graphql: not found.
//   - CORS preflights: only browsers send them.
//   - Rate limits of passwords and e-mail: they would make tests wait.
//   - Jobs: MAS provisions people and deletes devices seconds later, here it
//     happens at once. Inject a Raw answer at WhoAmI to see the gap.
//   - Truly simultaneous refreshes: MAS may give both callers a living chain.
//     Here one comes after the other, and the later wins.
//   - Forgetting: MAS removes consumed refresh tokens after an hour; the answer
//     to them is the same before and after.
//   - The list of public suffixes is a handful of names, and serde's wording of
//     type errors is only approximate.
//   - The password login of a homeserver without OAuth.
//   - Everything about rooms and messages.
//   - Of Tuwunel and Continuwuity the pages, which look like MAS's; what they
//     limit beside the device endpoint; and what their configuration could change,
//     but for the initial access token.
//   - Other homeservers. Edit, OAuthError, WithInterval and WithStrictRotation
//     come near to them.
package flowtest
