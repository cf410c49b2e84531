package main

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// parsePolicy returns a verifier for each key of a policy: log keys first, then cosigner keys.
func parsePolicy(policy string) ([]note.Verifier, error) {
	if !strings.HasSuffix(policy, "\n") {
		return nil, errors.New("the last line does not end in a line feed")
	}
	var logs, cosigners []note.Verifier
	for i, line := range strings.Split(strings.TrimSuffix(policy, "\n"), "\n") {
		words := strings.Split(line, " ")
		var verifier note.Verifier
		var err error
		switch {
		case words[0] == "log" && len(words) == 2:
			verifier, err = note.NewVerifier(words[1])
			logs = append(logs, verifier)
		case words[0] == "witness" && (len(words) == 3 || len(words) == 4):
			verifier, err = newCosigner(words[2])
			cosigners = append(cosigners, verifier)
		case words[0] == "group" || words[0] == "quorum":
			// They select among signers, and name no key.
		default:
			err = errors.New("not a line of a policy")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if len(logs) == 0 || len(cosigners) == 0 {
		return nil, errors.New("no log key or no cosigner key")
	}
	return append(logs, cosigners...), nil
}
