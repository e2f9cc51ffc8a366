// Package tui shows a login to a person: as a screen where there is a terminal
// to draw on, as plain lines where there is none. Both read the same
// [flow.Event] values, so there is one login and two ways to see it.
//
//	Usable  can this terminal carry the screen?
//	Login   the screen, from the server's name to the result
//	Lines   the same events, one sentence after the other
//
// Streams: everything is drawn on the writer that the caller hands in, which is
// stderr. Results travel back as values and stdout is never touched.
//
// The screen is one Bubble Tea program with named phases (login_model.go).
// Update does no IO: attempts begin, events are read and pages are opened by
// commands (attempt.go). What a phase looks like is a list of blocks, each with a rank;
// layout.go chooses the richest arrangement that fits the window. Keys are
// declared once (keys.go) and make both the dispatch and the help line.
//
// What holds for every screen:
//
//   - The link and the code stand there at once, whole, and nothing is opened
//     unasked. A link that does not fit is replaced by a sentence, never cut.
//   - State is told in words. Colour only adds to them, and NO_COLOR takes it
//     away; the black and white of a QR code is content and stays.
//   - Nothing that a server sent can steer the terminal: text is cleaned, links
//     and codes that would need cleaning are refused.
//   - What is drawn stands on the alternate screen, which is emptied before it is
//     left; the result is one line in the scrollback, without code and link.
//   - Every way out cancels the attempt that is under way.
package tui
