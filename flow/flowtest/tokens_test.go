package flowtest

import (
	"strings"
	"testing"
	"time"
)

// TestChecksum holds the checksum against tokens of MAS's own format.
func TestChecksum(t *testing.T) {
	for _, token := range []string{
		"mat_Xq3ZrT8mVb2NcK5wLp9HsY4dGf7JaE_DqMxZ1", "mar_Bn6RtW1yQz8KvM3cPx5LhD9sFj2GoU_f8XuT1",
		"mat_Kd7PzX2sNv9QmB4tRy6WcH1gLf8JuA_UoHL14", "mar_Tw5MxQ8zCk3VnR7bJp1YsG6dHf4LeZ_wa4iO1",
	} {
		if got := tokenPrefix(token); got != token[:3] {
			t.Errorf("%s is said to be %q", token, got)
		}
		if got := tokenPrefix(token[:len(token)-1] + "0"); got != "" {
			t.Errorf("a broken one is said to be %q", got)
		}
	}
	for range 2000 { // a checksum of fewer than six digits comes up now and then
		token := newToken(prefixRefresh)
		if len(token) != 41 || tokenPrefix(token) != prefixRefresh {
			t.Fatalf("%s is none of ours", token)
		}
	}
}

func TestULID(t *testing.T) {
	early, late := newULID(time.Unix(1756166400, 0)), newULID(time.Unix(1756166401, 0))
	if len(early) != 26 || early >= late || !strings.HasPrefix(early, "01K3") {
		t.Errorf("%s, %s", early, late)
	}
}
