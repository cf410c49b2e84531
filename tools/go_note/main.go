// Command go_note verifies every signature line of a votekit checkpoint with the keys of a policy.
//
// The form of a signed note and the signatures of log keys are the business of Go's
// golang.org/x/mod/sumdb/note, the package behind the Go checksum database. Cosignatures, which
// that package does not know, have a verifier here, written from docs/formats.md section 8 and
// C2SP tlog-cosignature. Whether the signers are a quorum is not checked.
package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
)

const (
	exitRefused = 1 // a line does not verify, or the policy does not name its key
	exitError   = 2 // nothing was verified: arguments, a file, or the form of one
)

func main() {
	if len(os.Args) != 3 {
		fail("usage: go_note POLICY CHECKPOINT")
	}
	policy, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	verifiers, err := parsePolicy(string(policy))
	if err != nil {
		fail("%s: %v", os.Args[1], err)
	}
	checkpoint, err := os.ReadFile(os.Args[2])
	if err != nil {
		fail("%v", err)
	}
	lines, err := verifyLines(checkpoint, note.VerifierList(verifiers...))
	if err != nil {
		fail("%s: %v", os.Args[2], err)
	}
	refused := false
	for _, line := range lines {
		fmt.Println(line.key, line.verdict)
		refused = refused || line.verdict != verified
	}
	if refused {
		os.Exit(exitRefused)
	}
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "error: "+format+"\n", arguments...)
	os.Exit(exitError)
}

type verdict string

const (
	verified   verdict = "verified"
	unverified verdict = "does not verify"
	unknown    verdict = "has no key in the policy"
)

// result is the verdict on one signature line, whose key is written NAME+ID.
type result struct {
	key     string
	verdict verdict
}

// verifyLines judges each signature line by itself: note.Open of the whole checkpoint would end at
// the first bad line, and skip a second line of the same key. A line that is there twice, byte for
// byte, has one result.
func verifyLines(checkpoint []byte, known note.Verifiers) ([]result, error) {
	// Without any known key, the package parses the note and lists every line as unverified.
	_, err := note.Open(checkpoint, nil)
	var parsed *note.UnverifiedNoteError
	if !errors.As(err, &parsed) {
		return nil, err
	}
	text := parsed.Note.Text
	var results []result
	for _, line := range parsed.Note.UnverifiedSigs {
		key := fmt.Sprintf("%s+%08x", line.Name, line.Hash)
		single := fmt.Sprintf("%s\n— %s %s\n", text, line.Name, line.Base64)
		verdict, err := verdictOf(note.Open([]byte(single), known))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		results = append(results, result{key, verdict})
	}
	return results, nil
}

// verdictOf converts what note.Open returned for a note of one signature line.
func verdictOf(opened *note.Note, err error) (verdict, error) {
	var invalid *note.InvalidSignatureError
	var none *note.UnverifiedNoteError
	switch {
	case errors.As(err, &invalid):
		return unverified, nil
	case errors.As(err, &none):
		return unknown, nil
	case err != nil:
		return "", err
	case len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 0:
		return "", errors.New("not one signature")
	default:
		return verified, nil
	}
}
