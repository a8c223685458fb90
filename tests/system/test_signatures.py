"""Permission signatures: known answers, expiry, foreign keys and tokens, hints around them, forgeries."""

import random
import time
import unittest

from support import locator as locators
from support.case import KeepstoreCase, SharedDaemonCase, main, seed
from support.daemon import ACTIVE_TOKEN, SIGNING_KEY, parse_seconds

FOO = "acbd18db4cc2f85cedef654fccc4a4d8"
INVALID = "invalid signature\n"

# The published example of the format (Arvados' own test vector).
KNOWN_TOKEN = "hocfupkn2pjhrpgp2vxv8rsku7tvtx49arbc9s4bvu7p7wxqvk"
KNOWN_KEY = ("13u9fkuccnboeewr0ne3mvapk28epf68a3bhj9q8sb4l6e4e5mkkp6nhj2mmpscgu1zze5h5enydxfe3j215024u16ij4hjaiqs5u4pzsl3nczma"
             "oxncljkm4875xqn4xv058koz3vkptmzhyheiy6wzevzjmdvxhvcqsvr5abhl15c2d4o4jhl0s91lojy1mtrzqqvprqcverls0xvy9vai9t1l1lvv"
             "azpuadafm71jl4mrwq2ygokee3eamvjy8qq1fvy238838enjmy5wzy2md7yvsitp5vztft6j4q866efym7e6vu5wm9fpnwjyxfldw3vbo01mgjs7"
             "5rgo7qioh8z8ij7jpyp8508okhgbbex3ceei786u5rw2a9gx743dj3fgq2irk")
KNOWN_HINT = "+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7fffffff"


class KnownAnswers(KeepstoreCase):
    def test_the_published_vector(self):
        self.assertEqual(locators.sign(FOO + "+3", KNOWN_TOKEN, KNOWN_KEY, 1209600, 0x7fffffff), FOO + "+3" + KNOWN_HINT)
        daemon = self.start(Collections={"BlobSigningKey": KNOWN_KEY, "BlobSigningTTL": "336h"})
        self.assertEqual(daemon.put(b"foo").status, 200)
        for target in (FOO + "+3" + KNOWN_HINT, FOO + "+3+K@xyzzy" + KNOWN_HINT, FOO + "+3" + KNOWN_HINT + "+Zfoo",
                       FOO + "+3+K@xyzzy" + KNOWN_HINT + "+Zfoo"):
            with self.subTest(target):
                self.assert_reply(daemon.request("GET", "/" + target, KNOWN_TOKEN), 200, "foo")
        self.assert_reply(daemon.request("HEAD", "/" + FOO + KNOWN_HINT, KNOWN_TOKEN), 200, b"")
        self.assert_reply(daemon.request("GET", "/" + FOO + "+3" + KNOWN_HINT, "00000000"), 400, INVALID)
        # The size is not signed: the signature is valid, but there is no block of that size.
        self.assert_reply(daemon.request("GET", f"/{FOO}+999999{KNOWN_HINT}", KNOWN_TOKEN), 502)
        self.assertNotIn(KNOWN_HINT, "\n".join(daemon.log.lines()))

    def test_the_ttl_is_part_of_the_signature(self):
        daemon = self.start(Collections={"BlobSigningTTL": "1h30m"})
        daemon.put(b"foo")
        self.assertEqual(parse_seconds("1h30m"), 5400)
        self.assert_reply(daemon.request("GET", "/" + daemon.sign(FOO + "+3", ttl=5400), ACTIVE_TOKEN), 200, "foo")
        self.assert_reply(daemon.request("GET", "/" + daemon.sign(FOO + "+3", ttl=5401), ACTIVE_TOKEN), 400, INVALID)


class Signatures(SharedDaemonCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon.put(b"foo")

    def get(self, locator, token=ACTIVE_TOKEN, method="GET"):
        return self.daemon.request(method, "/" + locator, token)

    def test_put_signs_for_the_ttl(self):
        before = int(time.time())
        locator = self.daemon.put(b"foo").text.strip()
        expiry = int(locator.split("@")[-1], 16)
        self.assertTrue(before + 1209600 <= expiry <= int(time.time()) + 1209600 + 1, locator)
        self.assertEqual(locator, locators.sign(FOO + "+3", ACTIVE_TOKEN, SIGNING_KEY, 1209600, expiry))

    def test_token_rules(self):
        signed = self.daemon.sign(FOO + "+3")
        self.assert_reply(self.get(signed, None), 401, "no token provided in Authorization header\n")
        self.assert_reply(self.get(signed, "badtoken"), 400, INVALID)
        self.assert_reply(self.get(signed, ACTIVE_TOKEN + "x"), 400, INVALID)
        self.assert_reply(self.get(signed), 200, "foo")
        self.assert_reply(self.get(signed, None, "HEAD"), 401, b"")
        self.assert_reply(self.get(FOO + "+3", None, "HEAD"), 401, b"")
        self.assert_reply(self.get(FOO, None, "HEAD"), 401, b"")

    def test_missing_signature(self):
        response = self.assert_reply(self.get(FOO + "+3"), 400)
        self.assertIn("signature", response.text)

    def test_expired(self):
        past = time.time() - 10
        for locator in (self.daemon.sign(FOO + "+3", expiry=past),
                        f"{FOO}+3+A{'0' * 40}@{int(past):08x}",     # Expired is noticed before forged.
                        f"{FOO}+3+A{'0' * 40}@00000000"):
            with self.subTest(locator):
                self.assert_reply(self.get(locator), 401, "expired signature\n")

    def test_forgeries(self):
        good = self.daemon.sign(FOO + "+3")
        signature, expiry = good.split("+A")[1].split("@")
        later = f"{int(expiry, 16) + 1:08x}"
        trials = [
            f"{FOO}+3+A{signature}@{later}",
            f"{locators.md5(b'bar')}+3+A{signature}@{expiry}",
            f"{FOO}+3+A{signature[::-1]}@{expiry}",
            f"{FOO}+3+A{'0' * 40}@{expiry}",
            locators.sign(FOO + "+3", ACTIVE_TOKEN, SIGNING_KEY[:-1]),
            locators.sign(FOO + "+3", ACTIVE_TOKEN, SIGNING_KEY, ttl=1),
            locators.sign(FOO + "+3", "", SIGNING_KEY),
        ]
        # One bit of each hex digit.
        trials += [f"{FOO}+3+A{signature[:i]}{int(signature[i], 16) ^ 1:x}{signature[i + 1:]}@{expiry}" for i in range(40)]
        for locator in trials:
            with self.subTest(locator):
                self.assert_reply(self.get(locator), 400, INVALID)
                self.assert_reply(self.get(locator, method="HEAD"), 400, b"")

    def test_malformed_signatures_count_as_missing(self):
        signature, expiry = self.daemon.sign(FOO + "+3").split("+A")[1].split("@")
        for hint in (f"A{signature[:-1]}@{expiry}", f"A{signature}0@{expiry}", f"A{signature}@{expiry[1:]}",
                     f"A{signature}@0{expiry}", f"A{signature}", "A", "A@", f"A{signature}@OOOOOOOl", f"A{signature}@",
                     f"A{'g' * 40}@{expiry}", f"a{signature}@{expiry}", f"A{signature}@-{expiry[1:]}",
                     f"A{signature} @{expiry}".replace(" ", "%20"), f"A{signature}@{expiry}%00"):
            with self.subTest(hint):
                self.assertEqual(self.get(f"{FOO}+3+{hint}").status, 400)

    def test_random_forgeries(self):
        generator = random.Random(seed())
        expiry = f"{int(time.time()) + 1000:08x}"
        with self.daemon.connect() as connection:
            for _ in range(1000):
                target = f"/{FOO}+3+A{generator.getrandbits(160):040x}@{expiry}"
                response = connection.request("GET", target, {"Authorization": f"Bearer {ACTIVE_TOKEN}"})
                self.assertEqual((response.status, response.text), (400, INVALID))

    def test_hints(self):
        signed = self.daemon.sign(FOO + "+3")
        hint = signed[len(FOO) + 2:]
        for locator in (signed + "+Zfoo", FOO + "+3+Zfoo" + hint, FOO + "+3+K@zzzzz" + hint + "+Bx_-@"):
            with self.subTest(locator):
                self.assert_reply(self.get(locator), 200, "foo")
        for locator in (signed + "+", FOO + "++3" + hint, "+" + signed, FOO + hint + "+3", FOO + "+3++K@x" + hint):
            with self.subTest(locator):
                self.assertIn(self.get(locator).status, (400, 405))

    def test_remote_hints_without_remote_clusters(self):
        self.assert_reply(self.get(f"{FOO}+3+Rxyzzy-{'0' * 40}@7fffffff"), 400)


if __name__ == "__main__":
    main()
