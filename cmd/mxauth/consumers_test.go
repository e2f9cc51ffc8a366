package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mxauth/mxauth/flow/flowtest"
)

// A consumer is a real program that takes a token from mxauth and asks a server
// with it. ask returns what it says, which must name the user.
type consumer struct {
	endpoint flowtest.Endpoint // where its question must arrive
	scope    string
	user     string
	ask      func(t *testing.T, b box, s *flowtest.Server) string
}

// TestConsumers logs in for each program, has it ask, rotates, has it ask again,
// and so a third time. Every question must reach the server and be answered.
func TestConsumers(t *testing.T) {
	for name, c := range map[string]consumer{
		"curl, -o header":                {flowtest.WhoAmI, "matrix", "alice", curlWithHeader},
		"curl, -o curl":                  {flowtest.WhoAmI, "matrix", "alice", curlWithConfig},
		"curl, Synapse's admin API":      {flowtest.AdminAPI, "synapse-admin", "root", curlSynapse},
		"curl, MAS's admin API":          {flowtest.AdminAPI, "mas-admin", "root", curlMAS},
		"matrix-nio, run":                {flowtest.WhoAmI, "matrix", "alice", nioWithRun},
		"matrix-nio, --write matrix-nio": {flowtest.WhoAmI, "matrix", "alice", nioWithFile},
		"matrix-commander, --write":      {flowtest.Devices, "matrix", "alice", commander},
		"synadm, --write":                {flowtest.AdminAPI, "synapse-admin", "root", synadm},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			b := newBox(t, "MXAUTH_STORE=plaintext")
			if done, code := b.login(approveAs(t, s, c.user), s.URL, "--name", "bot", "--scope", c.scope); code != 0 {
				t.Fatal(done.Error)
			}
			for round := range 3 {
				before := s.Succeeded(c.endpoint)
				if said := c.ask(t, b, s); !strings.Contains(said, c.user) {
					t.Errorf("round %d: it says %q", round, said)
				}
				if s.Succeeded(c.endpoint) == before {
					t.Errorf("round %d: the server was not asked", round)
				}
				b.must(0, "refresh", "bot")
			}
		})
	}
}

// typedLine runs a line as people type it, with mxauth in the PATH.
func typedLine(t *testing.T, b box, needs, line string, env ...string) string {
	t.Helper()
	if _, err := exec.LookPath(needs); err != nil {
		missing(t, needs+" is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = b.dir
	cmd.Env = append(append(b.env, env...), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := b.watch(cmd).Run()
	b.left()
	if err != nil {
		t.Fatalf("%v: %.600s", err, out.String())
	}
	return out.String()
}

func curlWithHeader(t *testing.T, b box, s *flowtest.Server) string {
	return typedLine(t, b, "curl", `curl -sSf -H "$(mxauth token bot -o header)" "$S/_matrix/client/v3/account/whoami"`, "S="+s.URL)
}

func curlWithConfig(t *testing.T, b box, s *flowtest.Server) string {
	return typedLine(t, b, "curl", `mxauth token bot -o curl | curl -sSf -K - "$S/_matrix/client/v3/account/whoami"`, "S="+s.URL)
}

func curlSynapse(t *testing.T, b box, s *flowtest.Server) string {
	return typedLine(t, b, "curl", `mxauth token bot -o curl | curl -sSf -K - "$S/_synapse/admin/v2/users?limit=10"`, "S="+s.URL)
}

func curlMAS(t *testing.T, b box, s *flowtest.Server) string {
	return typedLine(t, b, "curl", `mxauth token bot -o curl | curl -sSf -K - "${S}api/admin/v1/users"`, "S="+s.Issuer)
}

const nioProgram = `import asyncio, json, os, sys
from nio import AsyncClient

async def main():
    if len(sys.argv) > 1:
        c = json.load(open(sys.argv[1]))
    else:
        c = {n: os.environ["MATRIX_" + n.upper()] for n in ("homeserver", "user_id", "device_id", "access_token")}
    client = AsyncClient(c["homeserver"], c["user_id"])
    client.restore_login(c["user_id"], c["device_id"], c["access_token"])
    print(await client.whoami())
    await client.close()

asyncio.run(main())
`

func nioWithRun(t *testing.T, b box, _ *flowtest.Server) string {
	python := pythonWith(t, "nio")
	return typedLine(t, b, "sh", `mxauth run bot -- "$PYTHON" -I -c "$PROGRAM"`, "PYTHON="+python, "PROGRAM="+nioProgram)
}

func nioWithFile(t *testing.T, b box, _ *flowtest.Server) string {
	python := pythonWith(t, "nio")
	return typedLine(t, b, "sh", `mxauth token bot --write matrix-nio credentials.json && "$PYTHON" -I -c "$PROGRAM" credentials.json`, "PYTHON="+python, "PROGRAM="+nioProgram)
}

// program finds a Python program: beside the Python that has its module, or in
// the PATH.
func program(t *testing.T, name, module string) string {
	t.Helper()
	beside := filepath.Join(filepath.Dir(pythonWith(t, module)), name)
	if _, err := os.Stat(beside); err == nil && filepath.IsAbs(beside) {
		return beside
	}
	return name
}

// commander asks for the list of devices. flowtest leaves out what matrix-nio
// wants to see in it.
func commander(t *testing.T, b box, s *flowtest.Server) string {
	tool := program(t, "matrix-commander", "matrix_commander")
	s.Inject(flowtest.Devices, flowtest.Edit(func(m map[string]any) {
		devices, _ := m["devices"].([]any)
		for _, d := range devices {
			if d, ok := d.(map[string]any); ok {
				d["last_seen_ip"], d["last_seen_ts"] = "127.0.0.1", 1
			}
		}
	}))
	return typedLine(t, b, "sh", `mkdir -p store && mxauth token bot --write matrix-commander credentials.json &&
"$TOOL" --credentials credentials.json --store store --no-ssl --devices >devices && test -s devices && mxauth whoami bot`, "TOOL="+tool)
}

func synadm(t *testing.T, b box, _ *flowtest.Server) string {
	tool := program(t, "synadm", "synadm")
	return typedLine(t, b, "sh", `mxauth token bot --write synadm synadm.yaml && "$TOOL" -c synadm.yaml --batch user list`, "TOOL="+tool)
}
