// Package tui shows logins and sessions to a person: on a screen where there is
// a terminal to draw on, and a login as plain lines where there is none.
//
//	Usable    can this terminal carry a screen?
//	Login     a login, from the server's name to the result
//	Lines     the same login, one sentence after the other
//	Sessions  all sessions, and what can be done with them
//
// Login and Lines read the same [flow.Event] values, so there is one login and
// two ways to see it. What Sessions works on is [SessionActions], which the
// caller fulfils.
//
// Streams: everything is drawn on the writer that the caller hands in, which is
// stderr. Results travel back as values and stdout is never touched.
//
// Each screen is one Bubble Tea program with named phases (login_model.go,
// sessions_model.go). Update does no IO: attempts begin, events are read and
// sessions are acted on by commands (attempt.go, sessions_jobs.go). What a phase
// looks like is a list of blocks, each with a rank; layout.go chooses the richest
// arrangement that fits the window, poster.go that of a link with its QR code.
// Keys are declared once (login_keys.go, sessions_keys.go) and make the dispatch,
// the help line and the help page. A guard runs the program (guard.go, run.go):
// it ends it in good order, after a bug too.
//
// What holds for every screen:
//
//   - Nothing blocks it. What takes time has a deadline, and a sentence says what
//     is waited for.
//   - A link and a code stand there at once, whole, and nothing is opened unasked.
//     A link that does not fit is replaced by a sentence, never cut.
//   - State is told in words. Colour only adds to them, and NO_COLOR takes it
//     away; the black and white of a QR code is content and stays.
//   - Nothing that a server sent can steer the terminal: text is cleaned, links
//     and codes that would need cleaning are refused.
//   - What is drawn stands on the alternate screen, which is emptied before it is
//     left; what remains in the scrollback is the result, without code and link.
//   - Every way out cancels what is under way.
package tui
