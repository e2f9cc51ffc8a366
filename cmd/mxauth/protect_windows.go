package main

// protect does nothing: Windows writes no dumps of a Go program by itself, and
// guards memory by the user's access rights.
func protect() {}
