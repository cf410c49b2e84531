#!/usr/bin/env python3
"""Checks the parts of this verifier by published vectors and by fixtures/vectors/."""

import json
import sys
import unittest
from hashlib import sha256, sha512
from pathlib import Path

sys.dont_write_bytecode = True

import ed25519  # noqa: E402
import leaves  # noqa: E402
import manifest  # noqa: E402
import merkle  # noqa: E402
import results  # noqa: E402
import ristretto  # noqa: E402

VECTORS = Path(__file__).parents[2] / "fixtures" / "vectors"
DEFINITION = ("law_id", "title", "description", "choices", "binding", "results", "publish_every",
              "opens", "closes", "ballot_key")


class Vectors(unittest.TestCase):
    def test_ed25519(self):
        # RFC 8032 section 7.1, test 1.
        key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        signature = bytes.fromhex(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
            "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
        self.assertTrue(ed25519.verify(key, b"", signature))
        self.assertFalse(ed25519.verify(key, b"x", signature))
        raised = int.from_bytes(signature[32:], "little") + ed25519.ORDER
        self.assertFalse(
            ed25519.verify(key, b"", signature[:32] + raised.to_bytes(32, "little")))
        # The neutral element as key and as R: without the strict rules this verifies.
        neutral = (1).to_bytes(32, "little")
        self.assertFalse(ed25519.verify(neutral, b"", neutral + bytes(32)))

    def test_x25519_of_small_order(self):
        for key in (
            "00" * 32, "01" + "00" * 31,
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ):
            self.assertTrue(ed25519.x25519_of_small_order(bytes.fromhex(key)), key)
        self.assertFalse(ed25519.x25519_of_small_order(bytes.fromhex("09" + "00" * 31)))

    def test_ristretto(self):
        # RFC 9496, appendices A.1 and A.3.
        for encoding, point in (
            ("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76", ed25519.BASE),
            ("6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
             ed25519.double(ed25519.BASE)),
            ("3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
             ristretto.derive(bytes.fromhex(
                 "5d1be09e3d0c82fc538112490e35701979d99e06ca3e2b5b54bffe8b4dc772c14d98b696a1bbfb"
                 "5ca32c436cc61c16563790306c79eaca7705668b47dffe5bb6"))),
        ):
            self.assertTrue(ristretto.equal(ristretto.decode(bytes.fromhex(encoding)), point))
        for encoding in ("00" + "ff" * 31, "ff" * 31 + "7f", "01" + "00" * 31, "00" * 31 + "80"):
            self.assertIsNone(ristretto.decode(bytes.fromhex(encoding)), encoding)

    def test_commitments(self):
        lines = (VECTORS / "commitments.txt").read_text().splitlines()[1:]
        self.assertTrue(lines)
        for line in lines:
            key, root, leaves, choice, value, blinding, commitment = line.split(" ")
            content = sha256(bytes.fromhex(root + leaves)).digest()
            place = content + int(choice).to_bytes(2, "big")
            uniform = sha512(b"votekit-blinding/1\n" + bytes.fromhex(key) + place).digest()
            derived = int.from_bytes(uniform, "little") % ed25519.ORDER
            self.assertEqual(derived, int.from_bytes(bytes.fromhex(blinding), "little"))
            opened = ristretto.commit(int(value), ristretto.scalar(bytes.fromhex(blinding)))
            element = ristretto.decode(bytes.fromhex(commitment))
            self.assertTrue(ristretto.equal(opened, element), line)

    def test_merkle(self):
        # RFC 6962 section 2.1, written as the recursion that the text gives.
        def root(rows):
            if len(rows) == 1:
                return sha256(b"\0" + rows[0]).digest()
            half = 1
            while 2 * half < len(rows):
                half *= 2
            return sha256(b"\1" + root(rows[:half]) + root(rows[half:])).digest()

        rows, tree = [], merkle.Tree()
        for number in range(70):
            rows.append(b"%d" % number)
            tree.push(rows[-1])
            self.assertEqual(tree.root(), root(rows))

    def test_leaves(self):
        lines = (VECTORS / "leaves.jsonl").read_bytes().splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertIsNotNone(leaves.parse(line), line)
            self.assertIsNone(leaves.parse(line + b" "), line)

    def test_manifests(self):
        for name in ("manifest.json", "supplement.json"):
            _, message = manifest.parse((VECTORS / "manifest" / name).read_bytes())
            self.assertIsNone(message)

    def test_results(self):
        folders = sorted((VECTORS / "results").iterdir())
        self.assertTrue(folders)
        for folder in folders:
            given = json.loads((folder / "input.json").read_text(encoding="utf-8"))
            # The keys of this file are sorted; a definition has its own order.
            definition = {key: given["definition"][key] for key in DEFINITION}
            definition["title"] = {key: definition["title"][key] for key in ("fr", "en")}
            facts = {
                "definition": definition, "values": [*given["counts"], given["spoiled"]],
                "size": given["log_size"], "root": given["log_root"],
                **{key: given[key] for key in (
                    "state", "opened", "closed", "registered", "report", "updated_at")}}
            for name, derive in (
                ("results.json", results.results_json), ("results.csv", results.results_csv),
                ("results.nist.json", results.results_nist),
            ):
                self.assertEqual(derive(facts), (folder / name).read_bytes(), folder / name)


if __name__ == "__main__":
    unittest.main()
